//! The state of the Redis server: persistence, memory and clock.

use std::time::{Duration, Instant, SystemTime};

use caracal_revocation_stream::internal::{persistence, reply};
use caracal_revocation_stream::{InspectError, LiveSetting};
use redis::Pipeline;

use crate::inspector::{HOME, Inspector};

/// The current state of a Redis server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerReport {
    /// The version of Redis (`redis_version` of `INFO`).
    pub version: String,
    /// The time since its start. Messages from before that were not on disk are lost.
    pub uptime: Duration,
    /// `true` if it is a primary.
    pub is_primary: bool,
    /// `true` if it is a primary, or a replica whose link to the primary is up.
    pub is_linked: bool,
    /// The settings that can lose messages.
    pub persistence: Vec<LiveSetting>,
    /// The memory that it uses, in bytes.
    pub used_memory: u64,
    /// The memory that it may use, in bytes; 0 for no bound.
    pub max_memory: u64,
    /// The memory of its machine, in bytes.
    pub machine_memory: u64,
    /// The number of keys that it evicted since its start.
    pub evicted_keys: u64,
    /// `true` if the last write to the append-only file did not fail.
    pub last_write_ok: bool,
    /// The lead of its clock over this machine's, in milliseconds; negative if it is behind.
    pub clock_ahead_ms: i64,
    /// The round-trip time of the fastest answer. `clock_ahead_ms` is accurate to half of it.
    pub round_trip: Duration,
}

impl Inspector {
    /// Returns the current state of the server.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn server(&mut self) -> Result<ServerReport, InspectError> {
        let (clock_ahead_ms, round_trip) = self.clock().await?;
        let mut commands = Pipeline::new();
        commands.cmd("INFO").arg(&["server", "memory", "persistence", "replication", "stats"]);
        persistence::add_queries(&mut commands);
        let mut answers = self.links.query(HOME, &commands).await?.into_iter();
        let info = reply::text(&reply::checked(answers.next())?)?;
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

    /// Measures the lead of the server's clock in milliseconds, and the round-trip time. Uses the
    /// fastest of five answers: the shorter a round trip, the smaller the error.
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
