//! What a follower reports, under the names that operators already alert on (contract,
//! "Metrics").

use std::time::Duration;

use caracal_revocation_event::{Event, KeySlot, RejectionKind, StreamId};
use caracal_revocation_state::{Degraded, Moment, Outage, Revocations, Unready};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::continuity::LossSuspicion;
use crate::proof::Hole;

mod describe;
mod reporter;

pub(crate) use reporter::Reporter;

/// Handles, registered once: a service installs its recorder before it starts a follower.
#[derive(Debug)]
pub(crate) struct StreamMetrics {
    pub(crate) messages: Counter,
    pub(crate) reconnects: Counter,
    pub(crate) full: Counter,
    pub(crate) replays: Counter,
    pub(crate) replay_errors: Counter,
    verified: [(KeySlot, Counter); 3],
    refused: [(RejectionKind, Counter); 4],
    holes: [(Hole, Counter); 4],
    suspicions: [(LossSuspicion, Counter); 3],
    read_errors: [(Outage, Counter); Outage::ALL.len()],
    outages: [Gauge; Outage::ALL.len()],
    unready: [Gauge; Unready::LABELS.len()],
    degraded: [Gauge; Degraded::ALL.len()],
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
    replay: Gauge,
    bound: Gauge,
}

impl StreamMetrics {
    pub(crate) fn register() -> Self {
        describe::describe();
        // From zero on, whether or not it ever happens: an alert on a rise needs what was before.
        counter!("caracal_gateway_revocation_pending_replayed_total").increment(0);
        counter!("caracal_revocation_effects_lost_total").increment(0);
        counter!("caracal_gateway_revocation_reloads_total").increment(0);
        counter!("caracal_gateway_revocation_reload_errors_total").increment(0);
        Self {
            messages: counter!("caracal_gateway_revocation_messages_total"),
            replays: counter!("caracal_revocation_replays_total"),
            replay_errors: counter!("caracal_revocation_replay_errors_total"),
            verified: [KeySlot::Current, KeySlot::Previous, KeySlot::Unsigned].map(|key| {
                let name = "caracal_revocation_verified_messages_total";
                (key, counter!(name, "key" => key.label()))
            }),
            refused: [
                RejectionKind::Signature,
                RejectionKind::Malformed,
                RejectionKind::Ambiguous,
                RejectionKind::TooLarge,
            ]
            .map(|kind| {
                let name = "caracal_revocation_refused_messages_total";
                (kind, counter!(name, "kind" => kind.label()))
            }),
            holes: [Hole::Missing, Hole::IdsWentBack, Hole::Count, Hole::Suspected].map(|hole| {
                (hole, counter!("caracal_revocation_holes_total", "cause" => hole.label()))
            }),
            suspicions: [
                LossSuspicion::Restarted,
                LossSuspicion::Failover,
                LossSuspicion::Resynced,
            ]
            .map(|suspicion| {
                let name = "caracal_revocation_possible_holes_total";
                (suspicion, counter!(name, "cause" => suspicion.label()))
            }),
            read_errors: Outage::ALL.map(|cause| {
                let name = "caracal_revocation_read_errors_total";
                (cause, counter!(name, "cause" => cause.label()))
            }),
            outages: Outage::ALL
                .map(|cause| gauge!("caracal_revocation_outage", "cause" => cause.label())),
            unready: Unready::LABELS
                .map(|reason| gauge!("caracal_revocation_unready", "reason" => reason)),
            degraded: Degraded::ALL
                .map(|alarm| gauge!("caracal_revocation_degraded", "reason" => alarm.label())),
            propagation: gauge!("caracal_gateway_revocation_propagation_seconds"),
            reconnects: counter!("caracal_revocation_reconnects_total"),
            full: counter!("caracal_revocation_full_total"),
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
            replay: gauge!("caracal_revocation_replay_ratio"),
            bound: gauge!("caracal_revocation_staleness_bound_seconds"),
        }
    }

    pub(crate) fn verified(&self, key: KeySlot) {
        count(&self.verified, key);
    }

    pub(crate) fn rejected(&self, kind: RejectionKind) {
        if kind == RejectionKind::Signature {
            self.invalid_signatures.increment(1);
        }
        count(&self.refused, kind);
    }

    pub(crate) fn hole(&self, hole: Hole) {
        count(&self.holes, hole);
    }

    pub(crate) fn suspicion(&self, suspicion: LossSuspicion) {
        count(&self.suspicions, suspicion);
    }

    pub(crate) fn read_error(&self, cause: Outage) {
        count(&self.read_errors, cause);
    }

    /// How much of the history was read, 0 to 1.
    pub(crate) fn replayed(&self, share: f64) {
        self.replay.set(share);
    }

    pub(crate) fn state(&self, revocations: &Revocations, now: Moment) {
        self.active.set(revocations.entries() as f64);
        let staleness = revocations.staleness(now);
        self.age.set(staleness.map_or(-1.0, |age| age.as_secs_f64()));
        let fresh = staleness.is_ok_and(|age| age <= revocations.options().deny_after);
        self.fresh.set(if fresh { 1.0 } else { 0.0 });
        let proven = staleness.map(|age| now.wall.saturating_sub(age));
        self.proven.set(proven.unwrap_or_default().as_secs_f64());
        self.bound.set(revocations.options().deny_after.as_secs_f64());
        let readiness = revocations.readiness(now);
        self.horizon.set(readiness.horizon.unwrap_or_default() as f64);
        let flag = |is_so: bool| if is_so { 1.0 } else { 0.0 };
        for (outage, gauge) in Outage::ALL.into_iter().zip(&self.outages) {
            gauge.set(flag(readiness.outage == Some(outage)));
        }
        for (alarm, gauge) in Degraded::ALL.into_iter().zip(&self.degraded) {
            gauge.set(flag(readiness.degraded == Some(alarm)));
        }
        self.unready(readiness.unready);
    }

    fn unready(&self, unready: Option<Unready>) {
        let unready = unready.map(Unready::label);
        for (label, gauge) in Unready::LABELS.into_iter().zip(&self.unready) {
            gauge.set(if unready == Some(label) { 1.0 } else { 0.0 });
        }
    }

    /// The follower has ended, and reports nothing from now on: the view is not fresh any more,
    /// and its age will pass every threshold.
    fn ended(&self) {
        self.fresh.set(0.0);
        self.age.set(f64::INFINITY);
        self.unready(Some(Unready::Stale));
    }

    /// What takes longer to tell, and changes slowly.
    fn size(&self, revocations: &Revocations) {
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

fn count<T: Copy + PartialEq>(counters: &[(T, Counter)], which: T) {
    if let Some((_, counter)) = counters.iter().find(|(it, _)| *it == which) {
        counter.increment(1);
    }
}
