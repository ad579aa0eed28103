//! Restarts of Redis while a service is left alone.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::server::RedisServer;

/// The time for which Redis is down.
const AWAY: Duration = Duration::from_secs(1);

/// The times since the start at which Redis was stopped and answered again.
#[derive(Clone, Copy, Debug)]
pub struct Restart {
    pub stopped: Duration,
    pub back: Duration,
}

/// Restarts Redis this many times, evenly spread, and returns at the end of the run.
pub async fn run(
    redis: &mut RedisServer,
    start: Instant,
    length: Duration,
    times: u32,
) -> Result<Vec<Restart>, Failure> {
    let mut restarts = Vec::new();
    for n in 1..=times {
        tokio::time::sleep_until((start + length * n / (times + 1)).into()).await;
        let stopped = start.elapsed();
        redis.stop().await?;
        tokio::time::sleep(AWAY).await;
        redis.restart(None).await?;
        restarts.push(Restart { stopped, back: start.elapsed() });
    }
    tokio::time::sleep_until((start + length).into()).await;
    Ok(restarts)
}
