//! The shortest axum service that denies revoked mandates. Runs until Ctrl-C.
//!
//! Run it with `cargo run --release -p caracal-example-axum`. With `REDIS_URL` and `STREAMS_HMAC_KEY`
//! it follows that Redis and publishes there; otherwise it uses streams inside this process. `LISTEN`
//! sets another address.

use axum::{Extension, Router, routing::get, routing::post};
use caracal_revocation::wire::{MessageBuilder, Stream};
use caracal_revocation::{Admission, GatewayLayer};
use caracal_test_support::{listen, mandates, streams};
use tower::util::MapRequestLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_target(false).init();
    let listener = listen::listen("127.0.0.1:8080").await?;
    let issuer = mandates::Issuer::new()?;
    let (follower, publisher) = streams::from_env(&[Stream::SessionsRevoke]).await?;
    let revocations = follower.spawn();

    let session = streams::session();
    let (authenticate, revoked) = (issuer.clone(), session.clone());
    let app = Router::new()
        .route("/", get(hello))
        .layer(GatewayLayer::new(revocations.clone()))
        .layer(MapRequestLayer::new(move |request| authenticate.authenticate(request)))
        // Outside the layer: an operator's route, for this example only.
        .route("/revoke", post(async move || revoke(&publisher, &revoked).await));

    streams::ready(&revocations).await?;
    let at = format!("http://{}", listener.local_addr()?);
    println!("Listening on {at}. Try, in another terminal:\n");
    println!("  TOKEN={}", issuer.mint(&session)?);
    println!("  curl -i {at} -H \"Authorization: Bearer $TOKEN\"   # 200");
    println!("  curl -X POST {at}/revoke");
    println!("  curl -i {at} -H \"Authorization: Bearer $TOKEN\"   # 401\n");
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

async fn revoke(publisher: &caracal_revocation::Publisher, session: &str) -> String {
    let message = MessageBuilder::revoke(mandates::ZONE, "example").session(session);
    match publisher.publish(message).await {
        Ok(id) => format!("{session} revoked, message {id}\n"),
        Err(error) => format!("{error}\n"),
    }
}
