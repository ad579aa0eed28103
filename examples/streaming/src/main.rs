//! Ends requests that already run: a clock of server-sent events, a WebSocket that echoes, and a
//! slow handler. Runs until Ctrl-C.
//!
//! Run it with `cargo run --release -p caracal-example-streaming`. Then revoke from another
//! terminal, with the command that it prints, and watch each request end. With `REDIS_URL` and
//! `STREAMS_HMAC_KEY` it follows that Redis and publishes there; otherwise it uses streams inside
//! this process. `LISTEN` sets another address.

mod clients;

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::Path;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use axum::{Extension, Router};
use caracal_revocation::gateway::{CutOptions, GuardedWebSocket};
use caracal_revocation::wire::{MessageBuilder, Stream};
use caracal_revocation::{Admission, GatewayLayer, Publisher};
use caracal_test_support::{listen, mandates, streams};
use futures_util::stream;
use tower::util::MapRequestLayer;

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().with_target(false).init();
    let listener = listen::listen("127.0.0.1:8080").await?;
    let issuer = mandates::Issuer::new()?;
    let (follower, publisher) = streams::from_env(&[Stream::SessionsRevoke]).await?;
    let revocations = follower.spawn();

    let cutting = CutOptions::new()
        // Cuts requests also when Redis is unreachable for longer than the bound.
        .when_unknown()
        .on_cut(|report| println!("cut: {} ({})", report.part.label(), report.cut.label()));
    let authenticate = issuer.clone();
    let app = Router::new()
        .route("/clock", get(clock))
        .route("/echo", any(echo))
        .route("/slow", get(slow))
        .layer(GatewayLayer::new(revocations.clone()).with_cutting(cutting))
        .layer(MapRequestLayer::new(move |request| authenticate.authenticate(request)))
        // Outside the layer: an operator's route, for this example only.
        .route("/revoke/{session}", post(async move |path| revoke(&publisher, path).await));

    streams::ready(&revocations).await?;
    let address = listener.local_addr()?;
    // A connection whose client stopped reading is never polled again. The kernel closes it after
    // unacknowledged data has waited this long.
    #[cfg(target_os = "linux")]
    let listener = listener.tap_io(|stream| {
        let socket = socket2::SockRef::from(&*stream);
        if let Err(error) = socket.set_tcp_user_timeout(Some(Duration::from_secs(20))) {
            println!("a connection without a write timeout: {error}");
        }
    });
    let session = streams::session();
    let token = issuer.mint(&session)?;
    println!("Three clients of {session} are connected to http://{address}.");
    println!("In another terminal, watch a fourth:\n");
    println!("  TOKEN={token}");
    println!("  curl -N http://{address}/clock -H \"Authorization: Bearer $TOKEN\"\n");
    println!("and in a third, to see all of them end:\n");
    println!("  curl -X POST http://{address}/revoke/{session}\n");
    clients::connect(address, &token);
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}

/// Sends the time every second. The layer cuts the stream; the handler does nothing for it.
async fn clock() -> Sse<impl stream::Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Some((Ok(Event::default().data(now.as_secs().to_string())), ()))
    }))
}

/// Echoes messages. After the upgrade no layer sees the connection, so the socket awaits the
/// signal.
async fn echo(upgrade: WebSocketUpgrade, Extension(admission): Extension<Admission>) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let mut socket = GuardedWebSocket::new(socket, admission.revoked());
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// Waits for an hour, like a slow upstream. A cut drops it at this await.
async fn slow() -> impl IntoResponse {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    "done\n"
}

async fn revoke(publisher: &Publisher, Path(session): Path<String>) -> String {
    let message = MessageBuilder::revoke(mandates::ZONE, "example").session(&session);
    match publisher.publish(message).await {
        Ok(id) => format!("{session} revoked, message {id}\n"),
        Err(error) => format!("{error}\n"),
    }
}
