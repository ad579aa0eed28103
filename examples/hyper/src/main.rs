//! The shortest hyper service that denies revoked mandates. Runs until Ctrl-C.
//!
//! Run it with `cargo run --release -p caracal-example-hyper`. With `REDIS_URL` and `STREAMS_HMAC_KEY`
//! it follows that Redis and publishes there; otherwise it uses streams inside this process. `LISTEN`
//! sets another address.

use std::convert::Infallible;

use caracal_revocation::GatewayLayer;
use caracal_revocation::gateway::GuardedRequestBody;
use caracal_revocation::wire::{MessageBuilder, Stream};
use caracal_test_support::{listen, mandates, streams};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_target(false).init();
    let listener = listen::listen("127.0.0.1:8080").await?;
    let issuer = mandates::Issuer::new()?;
    let (follower, publisher) = streams::from_env(&[Stream::SessionsRevoke]).await?;
    let revocations = follower.spawn();

    let authenticate = issuer.clone();
    let service = ServiceBuilder::new()
        .map_request(move |request| authenticate.authenticate(request))
        .layer(GatewayLayer::new(revocations.clone()))
        .service_fn(hello);

    streams::ready(&revocations).await?;
    let (at, session) = (format!("http://{}", listener.local_addr()?), streams::session());
    println!("Listening on {at}. Try, in another terminal, within ten seconds and after them:\n");
    println!("  TOKEN={}", issuer.mint(&session)?);
    println!("  curl -i {at} -H \"Authorization: Bearer $TOKEN\"   # 200");
    println!("  curl -i {at} -H \"Authorization: Bearer $TOKEN\"   # 401\n");
    println!("{session} is revoked ten seconds from now. Ctrl-C ends.");
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        let message = MessageBuilder::revoke(mandates::ZONE, "example").session(&session);
        match publisher.publish(message).await {
            Ok(id) => println!("{session} revoked, message {id}"),
            Err(error) => println!("{error}"),
        }
    });
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connection = auto::Builder::new(TokioExecutor::new());
            // A client that disconnects is not an error.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn hello(
    _: Request<GuardedRequestBody<Incoming>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello\n")))
}
