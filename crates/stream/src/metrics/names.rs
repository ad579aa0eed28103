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
pub(super) const GAPS: &str = "caracal_revocation_holes_total";
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
pub(super) const USES: &str = "caracal_gateway_single_use_total";
pub(super) const STALENESS_BOUND: &str = "caracal_revocation_staleness_bound_seconds";
pub(super) const CANARY_LAG: &str = "caracal_revocation_canary_lag_seconds";
pub(super) const CANARY_AGE: &str = "caracal_revocation_canary_age_seconds";
pub(super) const CANARIES_LOST: &str = "caracal_revocation_canaries_lost_total";

const COUNTERS: [(&str, &str); 16] = [
    (
        MESSAGES,
        "Messages read from the streams, rejected ones included; a message that is read again \
         counts once",
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
    (INVALID_SIGNATURES, "Messages rejected because no accepted key signed them"),
    (REPLAYS, "Times that all streams were read from the first entry to their end"),
    (REPLAY_ERRORS, "Times that such a read was interrupted"),
    (RELOADS, "Times that the baseline was read"),
    (RELOAD_ERRORS, "Times that the baseline could not be read"),
    (DEAD_LETTERS_LOST, "Messages that did not become dead letters, by cause"),
    (VERIFIED, "Messages verified, by the key that signed them"),
    (LOSS_SUSPICIONS, "Restarts and failovers after which messages may be missing, by evidence"),
    (READ_ERRORS, "Failed attempts to read the streams, by cause"),
    (REJECTED, "Messages rejected, by kind"),
    (RECONNECTS, "Times that reading was interrupted and a new connection was needed"),
    (FULL, "Times that more was revoked than Options::max_entries allows"),
];

const GAUGES: [(&str, Unit, &str); 14] = [
    (
        PROPAGATION,
        Unit::Seconds,
        "Time from the id of the last applied message to its effect in this process",
    ),
    (ACTIVE, Unit::Count, "Revoked anchors and sessions in the index"),
    (
        VIEW_AGE,
        Unit::Seconds,
        "Time since the last completeness proof; -1 before the first, +Inf once the follower has \
         ended",
    ),
    (
        VIEW_FRESH,
        Unit::Count,
        "1 while the view is within the staleness bound and the follower runs, else 0",
    ),
    (CLOCK_OFFSET, Unit::Seconds, "Lead of Redis' clock over this machine's clock"),
    (CLOCK_OFFSET_ERROR, Unit::Seconds, "Possible error of the clock offset, either way"),
    (
        PROVEN_TIMESTAMP,
        Unit::Seconds,
        "Unix time of the last completeness proof; 0 before the first",
    ),
    (
        HORIZON_TIMESTAMP,
        Unit::Seconds,
        "Tokens issued at or before this Unix time are denied, since revocations may be missing; 0 \
         without such a horizon",
    ),
    (INDEX_BYTES, Unit::Bytes, "Memory of the index of revoked anchors and sessions"),
    (
        OUTAGE,
        Unit::Count,
        "1 while the streams cannot be read, or cannot be proven fresh, for this cause, else 0",
    ),
    (
        REPLAY_RATIO,
        Unit::Count,
        "Share of the history that was read, of the stream that is furthest behind; 1 when all is \
         read",
    ),
    (UNREADY, Unit::Count, "1 for the reason that the service should get no requests, else 0"),
    (DEGRADED, Unit::Count, "1 for an alarm that leaves the service ready, else 0"),
    (STALENESS_BOUND, Unit::Seconds, "Staleness beyond which every verdict is unknown"),
];

/// Describes the metrics of a follower to the exporter.
pub(super) fn describe() {
    for (name, text) in COUNTERS {
        describe_counter!(name, text);
    }
    for (name, unit, text) in GAUGES {
        describe_gauge!(name, unit, text);
    }
    describe_counter!(GAPS, "Times that entries were proven missing from a stream, by evidence");
    describe_histogram!(
        LAG,
        Unit::Seconds,
        "Time that a revocation took from the previous stage to this one"
    );
}

/// Describes the metric of the record of used mandates to the exporter.
pub(super) fn describe_uses() {
    describe_counter!(
        USES,
        "Mandates for one use that were presented, by the answer of the record: first, replayed, \
         or unknown if it could not be asked"
    );
}

/// Describes the metrics of a canary to the exporter.
pub(crate) fn describe_canary() {
    describe_histogram!(CANARY_LAG, Unit::Seconds, "Time from sending a canary to this stage");
    describe_gauge!(
        CANARY_AGE,
        Unit::Seconds,
        "Time since a canary was last seen; -1 before the first, +Inf once the canary has ended"
    );
    describe_counter!(CANARIES_LOST, "Canaries that were not seen before the next was due");
}
