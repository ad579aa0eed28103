//! The name of each metric of this crate, its unit and its description.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const MESSAGES: &str = "caracal_gateway_revocation_messages_total";
pub(super) const EFFECTS_TAKEN_OVER: &str = "caracal_gateway_revocation_pending_replayed_total";
pub(super) const EFFECTS_LOST: &str = "caracal_revocation_effects_lost_total";
pub(super) const DEAD_LETTERS_WRITTEN: &str = "caracal_gateway_revocation_dead_letters_total";
pub(super) const INVALID_SIGNATURES: &str = "caracal_gateway_revocation_invalid_signatures_total";
pub(super) const REPLAYS: &str = "caracal_revocation_replays_total";
pub(super) const REPLAY_ERRORS: &str = "caracal_revocation_replay_errors_total";
pub(super) const RELOADS: &str = "caracal_gateway_revocation_reloads_total";
pub(super) const RELOAD_ERRORS: &str = "caracal_gateway_revocation_reload_errors_total";
pub(super) const DEAD_LETTERS_LOST: &str = "caracal_revocation_dead_letters_lost_total";
pub(super) const VERIFIED: &str = "caracal_revocation_verified_messages_total";
pub(super) const LOSS_SUSPICIONS: &str = "caracal_revocation_possible_holes_total";
pub(super) const READ_ERRORS: &str = "caracal_revocation_read_errors_total";
pub(super) const REJECTED: &str = "caracal_revocation_refused_messages_total";
pub(super) const RECONNECTS: &str = "caracal_revocation_reconnects_total";
pub(super) const FULL: &str = "caracal_revocation_full_total";
pub(super) const HOLES: &str = "caracal_revocation_holes_total";
pub(super) const LAG: &str = "caracal_revocation_lag_seconds";
pub(super) const PROPAGATION: &str = "caracal_gateway_revocation_propagation_seconds";
pub(super) const ACTIVE: &str = "caracal_gateway_revocations_active";
pub(super) const VIEW_AGE: &str = "caracal_gateway_revocation_snapshot_age_seconds";
pub(super) const VIEW_FRESH: &str = "caracal_gateway_revocation_snapshot_fresh";
pub(super) const CLOCK_OFFSET: &str = "caracal_revocation_clock_offset_seconds";
pub(super) const CLOCK_OFFSET_ERROR: &str = "caracal_revocation_clock_offset_error_seconds";
pub(super) const PROVEN_TIMESTAMP: &str = "caracal_revocation_proven_timestamp_seconds";
pub(super) const HORIZON_TIMESTAMP: &str = "caracal_revocation_horizon_timestamp_seconds";
pub(super) const INDEX_BYTES: &str = "caracal_revocation_index_bytes";
pub(super) const OUTAGE: &str = "caracal_revocation_outage";
pub(super) const REPLAY_RATIO: &str = "caracal_revocation_replay_ratio";
pub(super) const UNREADY: &str = "caracal_revocation_unready";
pub(super) const DEGRADED: &str = "caracal_revocation_degraded";
pub(super) const STALENESS_BOUND: &str = "caracal_revocation_staleness_bound_seconds";
pub(super) const CANARY_LAG: &str = "caracal_revocation_canary_lag_seconds";
pub(super) const CANARY_AGE: &str = "caracal_revocation_canary_age_seconds";
pub(super) const CANARIES_LOST: &str = "caracal_revocation_canaries_lost_total";

const COUNTERS: [(&str, &str); 16] = [
    (
        MESSAGES,
        "Messages read from the streams, refused ones included; one that is read again counts once",
    ),
    (
        EFFECTS_TAKEN_OVER,
        "Messages that another consumer of the group left pending and this one took over",
    ),
    (
        EFFECTS_LOST,
        "Messages that were trimmed from the stream while an effect's group had them pending",
    ),
    (DEAD_LETTERS_WRITTEN, "Messages that this process wrote to a dead-letter stream"),
    (INVALID_SIGNATURES, "Messages refused because no accepted key signed them"),
    (REPLAYS, "Times that all streams were read to their end from the first entry"),
    (REPLAY_ERRORS, "Times that reading it was cut short"),
    (RELOADS, "Times that a baseline was read"),
    (RELOAD_ERRORS, "Times that a baseline could not be read"),
    (DEAD_LETTERS_LOST, "Messages that should have become dead letters and did not, by the cause"),
    (VERIFIED, "Messages verified, by the key that signed them"),
    (
        LOSS_SUSPICIONS,
        "Restarts and failovers after which messages may be missing, by the evidence",
    ),
    (READ_ERRORS, "Attempts to read the streams that failed, by the cause"),
    (REJECTED, "Messages refused, by the kind of denial"),
    (RECONNECTS, "Times that reading broke off and a new connection was needed"),
    (FULL, "Times that more was revoked than may be remembered"),
];

const GAUGES: [(&str, Unit, &str); 14] = [
    (
        PROPAGATION,
        Unit::Seconds,
        "From the message's id to its effect here, for the last message applied",
    ),
    (ACTIVE, Unit::Count, "Anchors and sessions remembered"),
    (
        VIEW_AGE,
        Unit::Seconds,
        "Since the log was last proven complete; -1 before the first proof, +Inf after the follower's end",
    ),
    (
        VIEW_FRESH,
        Unit::Count,
        "1 while the view is within the staleness bound and followed, else 0",
    ),
    (CLOCK_OFFSET, Unit::Seconds, "How far Redis' clock is ahead of this machine's"),
    (CLOCK_OFFSET_ERROR, Unit::Seconds, "How far the clock offset may be off, either way"),
    (
        PROVEN_TIMESTAMP,
        Unit::Seconds,
        "Unix time up to which the log is proven complete; 0 before the first proof",
    ),
    (
        HORIZON_TIMESTAMP,
        Unit::Seconds,
        "Unix time up to which messages may have been lost; 0 when none are known to be",
    ),
    (INDEX_BYTES, Unit::Bytes, "Memory that the remembered anchors and sessions take"),
    (
        OUTAGE,
        Unit::Count,
        "1 while the streams cannot be read, or not be proven fresh, for this cause, else 0",
    ),
    (
        REPLAY_RATIO,
        Unit::Count,
        "How much of the history was read, of the stream that is furthest behind; 1 when all",
    ),
    (UNREADY, Unit::Count, "1 for the reason why the service should be given no requests, else 0"),
    (DEGRADED, Unit::Count, "1 for an alarm that leaves the service ready, else 0"),
    (STALENESS_BOUND, Unit::Seconds, "The staleness beyond which every verdict is unknown"),
];

/// Describes the metrics of a follower to the exporter.
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

/// Describes the metrics of a canary to the exporter.
pub(crate) fn describe_canary() {
    describe_histogram!(CANARY_LAG, Unit::Seconds, "How long a canary took, since it was sent");
    describe_gauge!(
        CANARY_AGE,
        Unit::Seconds,
        "Since a canary was last seen; -1 before the first, +Inf after the last was sent"
    );
    describe_counter!(CANARIES_LOST, "Canaries that were not seen before the next was due");
}
