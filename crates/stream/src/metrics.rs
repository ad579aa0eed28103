//! What a follower reports, under the names that operators already alert on (contract,
//! "Metrics").

use caracal_revocation_event::{KeySlot, RejectionKind};
use caracal_revocation_state::{Moment, Revocations};
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::proof::Hole;

/// Handles, registered once: a service installs its recorder before it starts a follower.
#[derive(Debug)]
pub(crate) struct StreamMetrics {
    pub(crate) messages: Counter,
    pub(crate) propagation: Gauge,
    pub(crate) reconnects: Counter,
    invalid_signatures: Counter,
    active: Gauge,
    age: Gauge,
    fresh: Gauge,
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
        Self {
            messages: counter!("caracal_gateway_revocation_messages_total"),
            propagation: gauge!("caracal_gateway_revocation_propagation_seconds"),
            reconnects: counter!("caracal_revocation_reconnects_total"),
            invalid_signatures: counter!("caracal_gateway_revocation_invalid_signatures_total"),
            active: gauge!("caracal_gateway_revocations_active"),
            age: gauge!("caracal_gateway_revocation_snapshot_age_seconds"),
            fresh: gauge!("caracal_gateway_revocation_snapshot_fresh"),
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
    }
}
