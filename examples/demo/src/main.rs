//! A thousand revocations under load, each measured from "revoke" to "blocked".
//!
//! Run it with `cargo run --release -p demo`: it needs no Redis and no configuration, and takes about
//! 15 seconds. With `REDIS_URL` and `STREAMS_HMAC_KEY` it publishes to that Redis and follows it. Exits
//! with 1 if a revoked token is still admitted a second later, or if a good token is denied.

mod load;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::{Router, routing::get};
use caracal_revocation::GatewayLayer;
use caracal_revocation::wire::{MessageBuilder, Stream};
use caracal_test_support::{listen, mandates, streams};
use tower::util::MapRequestLayer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use load::{Client, Token};
use report::Report;

const REVOCATIONS: usize = 1_000;
const GOOD_TOKENS: usize = 200;
const CLIENTS: usize = 4;
const PACE: Duration = Duration::from_millis(10);
/// The time for which clients continue after the last revocation. It is longer than the time for
/// which a revoked token may be admitted.
const AFTERWARDS: Duration = Duration::from_secs(2);

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let levels = std::env::var("RUST_LOG");
    let levels = levels.as_deref().unwrap_or("warn,caracal_revocation::denial=off");
    let log = tracing_subscriber::fmt::layer().with_target(false);
    tracing_subscriber::registry().with(log).with(levels.parse::<Targets>()?).init();

    let listener = listen::listen("127.0.0.1:0").await?;
    let issuer = mandates::Issuer::new()?;
    let (follower, publisher) = streams::from_env(&[Stream::SessionsRevoke]).await?;
    let revocations = follower.spawn();
    streams::ready(&revocations).await?;

    let authenticate = issuer.clone();
    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(GatewayLayer::new(revocations.clone()))
        .layer(MapRequestLayer::new(move |request| authenticate.authenticate(request)));
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    println!("An axum service on http://{address}, {CLIENTS} clients, ES256 on every request.");

    let run = streams::session();
    let token = |kind, n| {
        let session = format!("{run}-{kind}-{n}");
        Ok::<_, Failure>(Arc::new(Token::new(issuer.mint(&session)?, session)))
    };
    let good: Vec<_> = (0..GOOD_TOKENS).map(|n| token("good", n)).collect::<Result<_, _>>()?;
    let to_revoke: Vec<_> =
        (0..REVOCATIONS).map(|n| token("doomed", n)).collect::<Result<_, _>>()?;

    let report = Arc::new(Report::default());
    let stop = Arc::new(AtomicBool::new(false));
    let everyone: Arc<[_]> = good.iter().chain(&to_revoke).cloned().collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let client = Client::new(address, report.clone());
            tokio::spawn(client.use_all(
                everyone.clone(),
                n * everyone.len() / CLIENTS,
                stop.clone(),
            ))
        })
        .collect();
    let progress = tokio::spawn(report::progress(report.clone(), REVOCATIONS));

    let mut probes = Vec::with_capacity(REVOCATIONS);
    let mut ticks = tokio::time::interval(PACE);
    for token in &to_revoke {
        ticks.tick().await;
        token.revocation_begins();
        publisher
            .publish(MessageBuilder::revoke(mandates::ZONE, "demo").session(token.session()))
            .await?;
        token.revocation_is_in_the_stream();
        report.published();
        let client = Client::new(address, report.clone());
        probes.push(tokio::spawn(client.use_until_blocked(token.clone())));
    }
    for probe in probes {
        probe.await?;
    }
    tokio::time::sleep(AFTERWARDS).await;
    stop.store(true, Ordering::Release);
    for client in clients {
        client.await?;
    }
    progress.abort();
    let is_good = report.print(REVOCATIONS);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
