//! What each metric of this crate means, for exporters that tell.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

const COUNTERS: [(&str, &str); 16] = [
    (
        "caracal_gateway_revocation_messages_total",
        "Messages read from the streams, refused ones included; one that is read again counts once",
    ),
    (
        "caracal_gateway_revocation_pending_replayed_total",
        "Messages that another consumer of the group left pending and this one took over",
    ),
    (
        "caracal_revocation_effects_lost_total",
        "Messages that were trimmed from the stream while an effect's group had them pending",
    ),
    (
        "caracal_gateway_revocation_dead_letters_total",
        "Messages that this process wrote to a dead-letter stream",
    ),
    (
        "caracal_gateway_revocation_invalid_signatures_total",
        "Messages refused because no accepted key signed them",
    ),
    (
        "caracal_revocation_replays_total",
        "Times that all streams were read to their end from the first entry",
    ),
    ("caracal_revocation_replay_errors_total", "Times that reading it was cut short"),
    ("caracal_gateway_revocation_reloads_total", "Times that a baseline was read"),
    ("caracal_gateway_revocation_reload_errors_total", "Times that a baseline could not be read"),
    (
        "caracal_revocation_dead_letters_lost_total",
        "Messages that should have become dead letters and did not, by the cause",
    ),
    (
        "caracal_revocation_verified_messages_total",
        "Messages verified, by the key that signed them",
    ),
    (
        "caracal_revocation_possible_holes_total",
        "Restarts and failovers after which messages may be missing, by the evidence",
    ),
    (
        "caracal_revocation_read_errors_total",
        "Attempts to read the streams that failed, by the cause",
    ),
    ("caracal_revocation_refused_messages_total", "Messages refused, by the kind of refusal"),
    (
        "caracal_revocation_reconnects_total",
        "Times that reading broke off and a new connection was needed",
    ),
    ("caracal_revocation_full_total", "Times that more was revoked than may be remembered"),
];

const HOLES: &str = "caracal_revocation_holes_total";

const LAG: &str = "caracal_revocation_lag_seconds";

const GAUGES: [(&str, Unit, &str); 14] = [
    (
        "caracal_gateway_revocation_propagation_seconds",
        Unit::Seconds,
        "From the message's id to its effect here, for the last message applied",
    ),
    ("caracal_gateway_revocations_active", Unit::Count, "Anchors and sessions remembered"),
    (
        "caracal_gateway_revocation_snapshot_age_seconds",
        Unit::Seconds,
        "Since the log was last proven complete; -1 before the first proof, +Inf after the follower's end",
    ),
    (
        "caracal_gateway_revocation_snapshot_fresh",
        Unit::Count,
        "1 while the view is within the staleness bound and followed, else 0",
    ),
    (
        "caracal_revocation_clock_offset_seconds",
        Unit::Seconds,
        "How far Redis' clock is ahead of this machine's",
    ),
    (
        "caracal_revocation_clock_offset_error_seconds",
        Unit::Seconds,
        "How far the clock offset may be off, either way",
    ),
    (
        "caracal_revocation_proven_timestamp_seconds",
        Unit::Seconds,
        "Unix time up to which the log is proven complete; 0 before the first proof",
    ),
    (
        "caracal_revocation_horizon_timestamp_seconds",
        Unit::Seconds,
        "Unix time up to which messages may have been lost; 0 when none are known to be",
    ),
    (
        "caracal_revocation_index_bytes",
        Unit::Bytes,
        "Memory that the remembered anchors and sessions take",
    ),
    (
        "caracal_revocation_outage",
        Unit::Count,
        "1 while the streams cannot be read, or not be proven fresh, for this cause, else 0",
    ),
    (
        "caracal_revocation_replay_ratio",
        Unit::Count,
        "How much of the history was read, of the stream that is furthest behind; 1 when all",
    ),
    (
        "caracal_revocation_unready",
        Unit::Count,
        "1 for the reason why the service should be given no requests, else 0",
    ),
    (
        "caracal_revocation_degraded",
        Unit::Count,
        "1 for an alarm that leaves the service ready, else 0",
    ),
    (
        "caracal_revocation_staleness_bound_seconds",
        Unit::Seconds,
        "The staleness beyond which every verdict is unknown",
    ),
];

pub(super) fn describe() {
    for (name, text) in COUNTERS {
        describe_counter!(name, text);
    }
    for (name, unit, text) in GAUGES {
        describe_gauge!(name, unit, text);
    }
    describe_counter!(
        HOLES,
        "Times that entries were proven missing from a stream, by the evidence"
    );
    describe_histogram!(
        LAG,
        Unit::Seconds,
        "How long a revocation took from the stage before to this one"
    );
}
