//! Leaves a service alone while Redis is restarted from time to time. The service must log nothing
//! twice, and fire no alert without a cause.

mod alerts;
mod lines;
mod prometheus;
mod restarts;
mod service;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use caracal_revocation::admin::Inspector;
use caracal_revocation::wire::MessageBuilder;
use caracal_revocation::{Publisher, Settings};
use http::StatusCode;

use crate::failure::Failure;
use crate::mandates::ZONE;
use crate::server::RedisServer;

use prometheus::Prometheus;
use service::Service;
pub use service::run as serve;

/// The pause between two revocations, and between two attempts at one.
const REVOKE_EVERY: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_millis(250);
/// The time that a service has to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Minutes for which the service is left alone.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// The number of restarts of Redis in that period.
    #[arg(long, default_value_t = 5)]
    restarts: u32,
    /// The file with the alert rules.
    #[arg(long, default_value = "ops/prometheus/caracal-revocation.rules.yml")]
    rules: PathBuf,
    /// Keep the service's log in this folder.
    #[arg(long, default_value = "target/quiet")]
    keep: PathBuf,
}

/// Restarts Redis as many times as requested, and checks the log and the alerts.
pub async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    std::fs::create_dir_all(&arguments.keep)?;
    let mut redis = RedisServer::start(None).await?;
    let url = format!("redis://{}", redis.address());
    let key = hex::encode(std::array::from_fn::<u8, 32, _>(|_| fastrand::u8(..)));
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_URL" => Some(url.clone()),
        "STREAMS_HMAC_KEY" => Some(key.clone()),
        _ => None,
    })?;
    Inspector::connect(&settings).await?.provision().await?;

    let start = Instant::now();
    let service = Service::start(&url, &key, &arguments.keep.join("service.log"), start).await?;
    ready(&service).await?;
    let prometheus = Prometheus::start(service.address, &arguments.rules)?;
    let length = Duration::from_secs(arguments.minutes * 60);
    let publisher = Publisher::connect(&settings).await?;
    let (restarts, revoked) = tokio::try_join!(
        restarts::run(&mut redis, start, length, arguments.restarts),
        revoke(&publisher, start, length),
    )?;
    let was_ready = ready(&service).await;

    println!("{} minutes, Redis restarted {} times", arguments.minutes, restarts.len());
    println!("{revoked} revocations published; the log is in {}", arguments.keep.display());
    let mut faults = lines::check(&service.lines(), &restarts);
    faults.extend(alerts::check(&prometheus.alerts(start).await?, &restarts));
    if let Err(failure) = was_ready {
        faults.push(format!("the service is not ready at the end: {failure}"));
    }
    let active = prometheus.value("caracal_gateway_revocations_active").await?;
    if active != Some(f64::from(revoked)) {
        faults.push(format!("the service has {active:?} of {revoked} revocations"));
    }
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    println!("{}", if faults.is_empty() { "passed" } else { "failed" });
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Revokes a session every [`REVOKE_EVERY`], retrying until Redis accepts it. Returns how many.
async fn revoke(publisher: &Publisher, start: Instant, length: Duration) -> Result<u32, Failure> {
    let mut revoked = 0;
    // Leaves time for the last one to arrive.
    while start.elapsed() + REVOKE_EVERY < length {
        revoked += 1;
        let session = format!("session-{revoked}");
        while let Err(error) =
            publisher.publish(MessageBuilder::revoke(ZONE, "quiet").session(&session)).await
        {
            println!("{:?}: not published: {error}", start.elapsed());
            tokio::time::sleep(RETRY).await;
        }
        tokio::time::sleep(REVOKE_EVERY).await;
    }
    Ok(revoked)
}

async fn ready(service: &Service) -> Result<(), Failure> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let (status, body) = prometheus::get(&format!("http://{}/ready", service.address)).await?;
        if status == StatusCode::OK && body["outage"].is_null() && body["degraded"].is_null() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(body.to_string().into());
        }
        tokio::time::sleep(RETRY).await;
    }
}
