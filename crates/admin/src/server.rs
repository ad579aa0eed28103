//! The server itself: what keeps it from losing messages, its memory, its clock.

use std::time::{Duration, Instant, SystemTime};

use caracal_revocation_stream::internal::{persistence, reply};
use caracal_revocation_stream::{InspectError, LiveSetting};
use redis::Pipeline;

use crate::inspector::{HOME, Inspector};

/// A Redis server as it runs now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerReport {
    /// `redis_version`.
    pub version: String,
    /// Since it was started; what was not on disk before is gone.
    pub uptime: Duration,
    /// It is a primary.
    pub is_primary: bool,
    /// Of a replica, whether its link to the primary is up.
    pub is_linked: bool,
    /// The settings that messages depend on.
    pub persistence: Vec<LiveSetting>,
    /// Bytes that it uses.
    pub used_memory: u64,
    /// Bytes that it may use, 0 for no bound.
    pub max_memory: u64,
    /// Bytes that its machine has.
    pub machine_memory: u64,
    /// Keys that it evicted since it was started.
    pub evicted_keys: u64,
    /// The last write to the append-only file succeeded.
    pub last_write_ok: bool,
    /// How far its clock is ahead of this machine's, in milliseconds, as far as can be told.
    pub clock_ahead_ms: i64,
    /// How long an answer takes; the clock is known to half of it.
    pub round_trip: Duration,
}

impl Inspector {
    /// The server as it runs now.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say.
    pub async fn server(&mut self) -> Result<ServerReport, InspectError> {
        let (clock_ahead_ms, round_trip) = self.clock().await?;
        let mut commands = Pipeline::new();
        commands.cmd("INFO").arg(&["server", "memory", "persistence", "replication", "stats"]);
        persistence::ask(&mut commands);
        let mut answers = self.links.ask(HOME, &commands).await?.into_iter();
        let info = reply::text(&reply::sound(answers.next())?)?;
        let field = |name| reply::info_field(&info, name);
        let number = |name| field(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let is_primary = field("role") != Some("slave");
        Ok(ServerReport {
            version: field("redis_version").unwrap_or("unknown").to_owned(),
            uptime: Duration::from_secs(number("uptime_in_seconds")),
            is_primary,
            is_linked: is_primary || field("master_link_status") == Some("up"),
            persistence: persistence::live(answers, |name| match name {
                "maxmemory-policy" => field("maxmemory_policy").map(str::to_owned),
                "appendonly" => match field("aof_enabled") {
                    Some("1") => Some("yes".to_owned()),
                    Some("0") => Some("no".to_owned()),
                    _ => None,
                },
                _ => None,
            }),
            used_memory: number("used_memory"),
            max_memory: number("maxmemory"),
            machine_memory: number("total_system_memory"),
            evicted_keys: number("evicted_keys"),
            last_write_ok: field("aof_last_write_status") != Some("err"),
            clock_ahead_ms,
            round_trip,
        })
    }

    /// How far the server's clock is ahead, by the fastest of a few answers: the less an answer
    /// takes, the better it is known when the clock was read.
    async fn clock(&mut self) -> Result<(i64, Duration), InspectError> {
        let mut best: Option<(i64, Duration)> = None;
        for _ in 0..5 {
            let (sent, at) = (Instant::now(), SystemTime::now());
            let server = self.time().await?;
            let round_trip = sent.elapsed();
            let here = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let ahead = millis(server) - millis(here + round_trip / 2);
            if best.is_none_or(|(_, fastest)| round_trip < fastest) {
                best = Some((ahead, round_trip));
            }
        }
        Ok(best.unwrap_or_default())
    }
}

fn millis(since: Duration) -> i64 {
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
