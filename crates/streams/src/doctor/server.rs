//! The findings about the server: connection, role, persistence, memory and clock.

use std::time::Duration;

use caracal_revocation_admin::ServerReport;
use caracal_revocation_state::OutageCause;
use caracal_revocation_stream::{InspectError, LiveSetting};

use super::finding::{Finding, Level};
use crate::text::span;

/// The offset of a clock, in milliseconds, that exceeds the margin between clocks.
const CLOCK_BROKEN_MS: i64 = 5_000;
const CLOCK_WARNING_MS: i64 = 1_000;

/// Returns the only finding if no connection could be opened.
pub(super) fn unreachable(error: &InspectError) -> Finding {
    Finding::broken("connection", error.to_string())
        .why("a service that cannot read the streams answers 503 to every request")
        .then(error.advice())
}

/// Returns the findings about the server. `names_primary` is `true` if `REDIS_PRIMARY_URL` is set.
pub(super) fn check(server: &ServerReport, names_primary: bool) -> Vec<Finding> {
    let mut findings = vec![connection(server)];
    if !server.is_primary && !names_primary {
        findings.push(lone_replica());
    }
    findings.extend(server.persistence.iter().map(|setting| persistence(setting, server)));
    findings.push(memory(server));
    if !server.last_write_ok {
        findings.push(
            Finding::broken("append_only_file", "the last write to the append-only file failed")
                .why("Redis rejects new messages until it can write again")
                .then("check the disk of the Redis machine, and Redis' log"),
        );
    }
    findings.push(clock(server));
    findings
}

fn connection(server: &ServerReport) -> Finding {
    let role = if server.is_primary { "primary" } else { "replica" };
    let (uptime, trip) = (span(server.uptime), span(server.round_trip));
    let seen = format!("Redis {}, {role}, up {uptime}, answers in {trip}", server.version);
    if server.is_linked {
        return Finding::fine("connection", seen);
    }
    Finding::broken("connection", format!("{seen}; its link to the primary is down"))
        .why("a replica without its primary returns old history, and clients cannot detect that")
        .then("check the replication of this server")
}

/// Returns the finding about a replica without a configured primary: a follower never becomes ready
/// there.
fn lone_replica() -> Finding {
    Finding::broken("replica", "not set, and this server is a replica")
        .about("REDIS_PRIMARY_URL")
        .why("a replica alone proves nothing: a follower never becomes ready, and answers 503")
        .then(OutageCause::ReplicaWithoutPrimary.advice())
}

fn persistence(setting: &LiveSetting, server: &ServerReport) -> Finding {
    let LiveSetting { name, live, required, is_fine, .. } = setting;
    let Some(live) = live else {
        return Finding::fine("persistence", "unknown: CONFIG GET is not allowed here")
            .about(*name);
    };
    if *is_fine {
        return Finding::fine("persistence", live.clone()).about(*name);
    }
    let evicts = *name == "maxmemory-policy";
    let why = if evicts {
        "under memory pressure, Redis may silently throw away whole streams with their revocations"
    } else {
        "messages that Redis acknowledged but did not write to disk are lost after a restart"
    };
    let mut seen = live.clone();
    if evicts && server.evicted_keys > 0 {
        seen = format!("{live}; {} keys were already evicted", server.evicted_keys);
    }
    let level = if evicts && server.max_memory > 0 { Level::Broken } else { Level::Warning };
    let set = format!("set {name} {required}, in redis.conf and by CONFIG SET");
    Finding { level, ..Finding::warning("persistence", seen).about(*name).why(why).then(set) }
}

fn memory(server: &ServerReport) -> Finding {
    let (limit, what) = match (server.max_memory, server.machine_memory) {
        (0, machine) => (machine, "the machine's memory (maxmemory is not set)"),
        (bound, _) => (bound, "maxmemory"),
    };
    let percent = server.used_memory.saturating_mul(100).checked_div(limit).unwrap_or(0);
    let seen = format!("{} MiB used, {percent}% of {what}", server.used_memory >> 20);
    let finding = match percent {
        0..75 => return Finding::fine("memory", seen),
        75..90 => Finding::warning("memory", seen),
        _ => Finding::broken("memory", seen),
    };
    finding
        .why("at the limit, Redis rejects new messages: revocations no longer arrive")
        .then("check for streams over their intended length (below), or give Redis more memory")
}

fn clock(server: &ServerReport) -> Finding {
    let ahead = server.clock_ahead_ms;
    let known = span(server.round_trip / 2);
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let off = span(Duration::from_millis(ahead.unsigned_abs()));
    let seen = format!("Redis' clock is {off} {side} this machine's, give or take {known}");
    let finding = match ahead.abs() {
        0..CLOCK_WARNING_MS => return Finding::fine("clock", seen),
        CLOCK_WARNING_MS..CLOCK_BROKEN_MS => Finding::warning("clock", seen),
        _ => Finding::broken("clock", seen),
    };
    finding
        .why("Postgres dates tokens, Redis dates messages: the margin for their clocks is 5 s")
        .then("check that both machines synchronize their clocks by NTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_clock_offset_in_both_directions() {
        for (ahead, level) in [
            (999, Level::Fine),
            (-1_000, Level::Warning),
            (4_999, Level::Warning),
            (-5_000, Level::Broken),
        ] {
            let mut server = ServerReport::default();
            server.clock_ahead_ms = ahead;
            assert_eq!(clock(&server).level, level, "{ahead}");
        }
    }

    #[test]
    fn reports_memory_near_its_limit() {
        for (used, level) in [(74, Level::Fine), (75, Level::Warning), (90, Level::Broken)] {
            let mut server = ServerReport::default();
            (server.used_memory, server.max_memory) = (used, 100);
            assert_eq!(memory(&server).level, level, "{used}");
        }
    }
}
