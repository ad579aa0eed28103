//! What a follower reports, under the names that operators already alert on (contract,
//! "Metrics").

use std::time::Duration;

use caracal_revocation_event::{Event, KeySlot, RejectionKind, StreamId};
use caracal_revocation_state::{Moment, Revocations};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::proof::Hole;

/// Handles, registered once: a service installs its recorder before it starts a follower.
#[derive(Debug)]
pub(crate) struct StreamMetrics {
    pub(crate) messages: Counter,
    pub(crate) reconnects: Counter,
    invalid_signatures: Counter,
    active: Gauge,
    age: Gauge,
    fresh: Gauge,
    propagation: Gauge,
    lag_published: Histogram,
    lag_applied: Histogram,
    lag_total: Histogram,
    clock_offset: Gauge,
    clock_offset_error: Gauge,
    proven: Gauge,
    horizon: Gauge,
    bytes: Gauge,
}

impl StreamMetrics {
    pub(crate) fn register() -> Self {
        describe_counter!(
            "caracal_gateway_revocation_messages_total",
            "Messages read from the streams, refused ones included"
        );
        describe_counter!(
            "caracal_gateway_revocation_invalid_signatures_total",
            "Messages refused because no accepted key signed them"
        );
        describe_counter!(
            "caracal_gateway_revocation_dead_letters_total",
            "Messages that this process wrote to a dead-letter stream"
        );
        describe_counter!(
            "caracal_revocation_dead_letters_lost_total",
            "Messages that should have become dead letters and did not, by the cause"
        );
        describe_counter!(
            "caracal_revocation_verified_messages_total",
            "Messages verified, by the key that signed them"
        );
        describe_counter!(
            "caracal_revocation_refused_messages_total",
            "Messages refused, by the kind of refusal"
        );
        describe_counter!(
            "caracal_revocation_holes_total",
            "Times that entries were proven missing from a stream, by the evidence"
        );
        describe_counter!(
            "caracal_revocation_reconnects_total",
            "Times that the connection to Redis was lost"
        );
        describe_gauge!(
            "caracal_gateway_revocation_propagation_seconds",
            Unit::Seconds,
            "From the message's id to its effect here, for the last message applied"
        );
        describe_gauge!("caracal_gateway_revocations_active", "Anchors and sessions remembered");
        describe_gauge!(
            "caracal_gateway_revocation_snapshot_age_seconds",
            Unit::Seconds,
            "Since the log was last proven complete; -1 before the first proof"
        );
        describe_gauge!(
            "caracal_gateway_revocation_snapshot_fresh",
            "1 while the view is within the staleness bound, else 0"
        );
        describe_histogram!(
            "caracal_revocation_lag_seconds",
            Unit::Seconds,
            "How long a revocation took from the stage before to this one"
        );
        describe_gauge!(
            "caracal_revocation_clock_offset_seconds",
            Unit::Seconds,
            "How far Redis' clock is ahead of this machine's"
        );
        describe_gauge!(
            "caracal_revocation_clock_offset_error_seconds",
            Unit::Seconds,
            "How far the clock offset may be off, either way"
        );
        describe_gauge!(
            "caracal_revocation_proven_timestamp_seconds",
            Unit::Seconds,
            "Unix time up to which the log is proven complete; 0 before the first proof"
        );
        describe_gauge!(
            "caracal_revocation_horizon_timestamp_seconds",
            Unit::Seconds,
            "Unix time up to which messages may have been lost; 0 when none are known to be"
        );
        describe_gauge!(
            "caracal_revocation_index_bytes",
            Unit::Bytes,
            "Memory that the remembered anchors and sessions take"
        );
        Self {
            messages: counter!("caracal_gateway_revocation_messages_total"),
            propagation: gauge!("caracal_gateway_revocation_propagation_seconds"),
            reconnects: counter!("caracal_revocation_reconnects_total"),
            invalid_signatures: counter!("caracal_gateway_revocation_invalid_signatures_total"),
            active: gauge!("caracal_gateway_revocations_active"),
            age: gauge!("caracal_gateway_revocation_snapshot_age_seconds"),
            fresh: gauge!("caracal_gateway_revocation_snapshot_fresh"),
            lag_published: histogram!("caracal_revocation_lag_seconds", "stage" => "published"),
            lag_applied: histogram!("caracal_revocation_lag_seconds", "stage" => "applied"),
            lag_total: histogram!("caracal_revocation_lag_seconds", "stage" => "total"),
            clock_offset: gauge!("caracal_revocation_clock_offset_seconds"),
            clock_offset_error: gauge!("caracal_revocation_clock_offset_error_seconds"),
            proven: gauge!("caracal_revocation_proven_timestamp_seconds"),
            horizon: gauge!("caracal_revocation_horizon_timestamp_seconds"),
            bytes: gauge!("caracal_revocation_index_bytes"),
        }
    }

    pub(crate) fn verified(&self, key: KeySlot) {
        counter!("caracal_revocation_verified_messages_total", "key" => key.label()).increment(1);
    }

    pub(crate) fn rejected(&self, kind: RejectionKind) {
        if kind == RejectionKind::Signature {
            self.invalid_signatures.increment(1);
        }
        counter!("caracal_revocation_refused_messages_total", "kind" => kind.label()).increment(1);
    }

    pub(crate) fn hole(&self, hole: Hole) {
        counter!("caracal_revocation_holes_total", "cause" => hole.label()).increment(1);
    }

    pub(crate) fn state(&self, revocations: &Revocations, now: Moment) {
        self.active.set(revocations.entries() as f64);
        let staleness = revocations.staleness(now);
        self.age.set(staleness.map_or(-1.0, |age| age.as_secs_f64()));
        let fresh = staleness.is_ok_and(|age| age <= revocations.options().deny_after);
        self.fresh.set(if fresh { 1.0 } else { 0.0 });
        let proven = staleness.map(|age| now.wall.saturating_sub(age));
        self.proven.set(proven.unwrap_or_default().as_secs_f64());
        self.horizon.set(revocations.horizon().unwrap_or_default() as f64);
        self.bytes.set(revocations.bytes() as f64);
    }

    /// A message that is new here was applied, so long after it was added to its stream.
    pub(crate) fn lag(&self, event: &Event<'_>, id: StreamId, applied: Duration) {
        self.propagation.set(applied.as_secs_f64());
        if event.changes().is_empty() {
            return;
        }
        self.lag_applied.record(applied.as_secs_f64());
        let Some(decided) = event.decided() else { return };
        // Both are whole milliseconds; their clocks may disagree about which was first.
        let published = Duration::from_millis(id.ms.saturating_sub(decided.as_millis()));
        self.lag_published.record(published.as_secs_f64());
        self.lag_total.record((published + applied).as_secs_f64());
    }

    /// The server's lead, and how far that may be off, in seconds.
    pub(crate) fn clock(&self, lead: Option<(f64, f64)>) {
        if let Some((lead, error)) = lead {
            self.clock_offset.set(lead);
            self.clock_offset_error.set(error);
        }
    }
}
