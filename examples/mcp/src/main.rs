//! An MCP server: a long tool call and its event streams end on revocation. Runs until Ctrl-C.
//!
//! Run it with `cargo run --release -p caracal-example-mcp`. With `REDIS_URL` and `STREAMS_HMAC_KEY` it
//! follows that Redis and publishes there; otherwise it uses streams inside this process. `LISTEN`
//! sets another address.

mod server;
#[cfg(test)]
mod tests;
mod tools;

use std::sync::Arc;

use axum::routing::post;
use caracal_revocation::Publisher;
use caracal_revocation::wire::{MessageBuilder, Stream};
use caracal_test_support::{listen, mandates, streams};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_target(false).init();
    let listener = listen::listen("127.0.0.1:8080").await?;
    let issuer = mandates::Issuer::new()?;
    let (follower, publisher) = streams::from_env(&[Stream::SessionsRevoke]).await?;
    let revocations = follower.spawn();
    let session = streams::session();
    let revoked = session.clone();
    let at = format!("http://{}", listener.local_addr()?);
    let watch = Arc::new(|what: &str| println!("{what}"));
    let app = server::routes(&at, revocations.clone(), issuer.clone(), watch)?
        // Outside the layer: an operator's route, for this example only.
        .route("/revoke", post(async move || revoke(&publisher, &revoked).await));

    streams::ready(&revocations).await?;
    println!("Listening on {at}/mcp. Try, in another terminal:\n");
    println!("  TOKEN={}", issuer.mint(&session)?);
    println!("  mcp() {{ curl -sN {at}/mcp -H \"Authorization: Bearer $TOKEN\" \\");
    println!(
        "    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \"$@\"; }}"
    );
    println!(
        "  SESSION=$(mcp -D - -d '{INITIALIZE}' | tr -d '\\r' | sed -n 's/^mcp-session-id: //p')"
    );
    println!("  mcp -H \"Mcp-Session-Id: $SESSION\" -d '{INITIALIZED}'");
    println!("  mcp -H \"Mcp-Session-Id: $SESSION\" -d '{CALL}'   # waits");
    println!("\nand in a third, to see both the call and its stream end:\n");
    println!("  curl -X POST {at}/revoke\n");
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}

pub const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"curl","version":"1"}}}"#;
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
pub const CALL: &str =
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"research","arguments":{}}}"#;

async fn revoke(publisher: &Publisher, session: &str) -> String {
    let message = MessageBuilder::revoke(mandates::ZONE, "example").session(session);
    match publisher.publish(message).await {
        Ok(id) => format!("{session} revoked, message {id}\n"),
        Err(error) => format!("{error}\n"),
    }
}
