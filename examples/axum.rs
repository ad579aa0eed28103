//! The shortest honest axum service that refuses revoked mandates. Runs until Ctrl-C.
//!
//! `cargo run --release --example axum`; with `REDIS_URL` and `STREAMS_HMAC_KEY` it follows that
//! Redis, else streams inside this process.

#[path = "mandates/mod.rs"]
mod mandates;
#[path = "streams/mod.rs"]
mod streams;

use axum::{Extension, Router, routing::get, routing::post};
use caracal_revocation::{Admission, GatewayLayer, Notice};
use tower::util::MapRequestLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_target(false).init();
    let issuer = mandates::Issuer::new()?;
    let (follower, publisher) = streams::from_env().await?;
    let revocations = follower.spawn();

    let authenticate = issuer.clone();
    let app = Router::new()
        .route("/", get(hello))
        .layer(GatewayLayer::new(revocations.clone()))
        .layer(MapRequestLayer::new(move |request| authenticate.authenticate(request)))
        // Not behind the layer: an operator's door, for this example only.
        .route("/revoke", post(async move || revoke(&publisher).await));

    revocations.ready().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("Listening on http://{}. Try, in another terminal:\n", listener.local_addr()?);
    println!("  TOKEN={}", issuer.mint("session-1")?);
    println!("  curl -i localhost:8080 -H \"Authorization: Bearer $TOKEN\"   # 200");
    println!("  curl -X POST localhost:8080/revoke");
    println!("  curl -i localhost:8080 -H \"Authorization: Bearer $TOKEN\"   # 401\n");
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}

async fn hello(Extension(admission): Extension<Admission>) -> String {
    format!("hello; revocations known as of {:?} ago\n", admission.admitted().staleness())
}

async fn revoke(publisher: &caracal_revocation::Publisher) -> String {
    let notice = Notice::revoke(mandates::ZONE, "example").session("session-1");
    match publisher.publish(notice).await {
        Ok(id) => format!("session-1 revoked, message {id}\n"),
        Err(error) => format!("{error}\n"),
    }
}
