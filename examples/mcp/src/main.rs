//! An MCP server whose long tool call and whose event streams end with the authority behind them.
//! Runs until Ctrl-C.
//!
//! `cargo run --release -p caracal-example-mcp`; with `REDIS_URL` and `STREAMS_HMAC_KEY` it follows
//! that Redis, else streams inside this process.

#[path = "../../mandates/mod.rs"]
mod mandates;
mod server;
#[path = "../../streams/mod.rs"]
mod streams;
#[cfg(test)]
mod tests;
mod tools;

use std::sync::Arc;

use axum::routing::post;
use caracal_revocation::{Notice, Publisher};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_target(false).init();
    let issuer = mandates::Issuer::new()?;
    let (follower, publisher) = streams::from_env().await?;
    let revocations = follower.spawn();
    let app =
        server::routes(revocations.clone(), issuer.clone(), Arc::new(|what| println!("{what}")))
            // Not behind the layer: an operator's door, for this example only.
            .route("/revoke", post(async move || revoke(&publisher).await));

    revocations.ready().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("Listening on http://{}/mcp. Try, in another terminal:\n", listener.local_addr()?);
    println!("  TOKEN={}", issuer.mint("session-1")?);
    println!("  mcp() {{ curl -sN localhost:8080/mcp -H \"Authorization: Bearer $TOKEN\" \\");
    println!(
        "    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \"$@\"; }}"
    );
    println!(
        "  SESSION=$(mcp -D - -d '{INITIALIZE}' | tr -d '\\r' | sed -n 's/^mcp-session-id: //p')"
    );
    println!("  mcp -H \"Mcp-Session-Id: $SESSION\" -d '{INITIALIZED}'");
    println!("  mcp -H \"Mcp-Session-Id: $SESSION\" -d '{CALL}'   # waits");
    println!("\nand in a third, to see both the call and its stream end:\n");
    println!("  curl -X POST localhost:8080/revoke\n");
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

async fn revoke(publisher: &Publisher) -> String {
    let notice = Notice::revoke(mandates::ZONE, "example").session("session-1");
    match publisher.publish(notice).await {
        Ok(id) => format!("session-1 revoked, message {id}\n"),
        Err(error) => format!("{error}\n"),
    }
}
