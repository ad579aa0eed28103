//! The metrics of a follower, under the names that operators already alert on
//! (`docs/metrics.md`).

use std::time::Duration;

use caracal_revocation_event::{Event, KeySlot, MessageRejectionKind, StreamId};
use caracal_revocation_state::{
    Degraded, GapCause, LossSuspicion, Moment, OutageCause, Revocations, UnknownCause,
};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::names;

/// Metric handles, registered once. A service installs its recorder before it starts a follower.
#[derive(Debug)]
pub(crate) struct StreamMetrics {
    pub(crate) messages: Counter,
    pub(crate) reconnects: Counter,
    pub(crate) full: Counter,
    pub(crate) replays: Counter,
    pub(crate) replay_errors: Counter,
    verified: [(KeySlot, Counter); 3],
    rejected: [(MessageRejectionKind, Counter); 4],
    gaps: [(GapCause, Counter); GapCause::ALL.len()],
    suspicions: [(LossSuspicion, Counter); LossSuspicion::ALL.len()],
    read_errors: [(OutageCause, Counter); OutageCause::ALL.len()],
    outages: [Gauge; OutageCause::ALL.len()],
    unready: [Gauge; UnknownCause::LABELS.len()],
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
        names::describe();
        // Counters start at zero, because an alert on an increase needs the value before it.
        counter!(names::EFFECTS_TAKEN_OVER).increment(0);
        counter!(names::EFFECTS_LOST).increment(0);
        counter!(names::RELOADS).increment(0);
        counter!(names::RELOAD_ERRORS).increment(0);
        Self {
            messages: counter!(names::MESSAGES),
            replays: counter!(names::REPLAYS),
            replay_errors: counter!(names::REPLAY_ERRORS),
            verified: [KeySlot::Current, KeySlot::Previous, KeySlot::Unsigned]
                .map(|key| (key, counter!(names::VERIFIED, "key" => key.label()))),
            rejected: [
                MessageRejectionKind::Signature,
                MessageRejectionKind::Malformed,
                MessageRejectionKind::Ambiguous,
                MessageRejectionKind::TooLarge,
            ]
            .map(|kind| (kind, counter!(names::REJECTED, "kind" => kind.label()))),
            gaps: GapCause::ALL.map(|gap| (gap, counter!(names::GAPS, "cause" => gap.label()))),
            suspicions: LossSuspicion::ALL.map(|suspicion| {
                (suspicion, counter!(names::LOSS_SUSPICIONS, "cause" => suspicion.label()))
            }),
            read_errors: OutageCause::ALL
                .map(|cause| (cause, counter!(names::READ_ERRORS, "cause" => cause.label()))),
            outages: OutageCause::ALL.map(|cause| gauge!(names::OUTAGE, "cause" => cause.label())),
            unready: UnknownCause::LABELS.map(|reason| gauge!(names::UNREADY, "reason" => reason)),
            degraded: Degraded::ALL.map(|alarm| gauge!(names::DEGRADED, "reason" => alarm.label())),
            propagation: gauge!(names::PROPAGATION),
            reconnects: counter!(names::RECONNECTS),
            full: counter!(names::FULL),
            invalid_signatures: counter!(names::INVALID_SIGNATURES),
            active: gauge!(names::ACTIVE),
            age: gauge!(names::VIEW_AGE),
            fresh: gauge!(names::VIEW_FRESH),
            lag_published: histogram!(names::LAG, "stage" => "published"),
            lag_applied: histogram!(names::LAG, "stage" => "applied"),
            lag_total: histogram!(names::LAG, "stage" => "total"),
            clock_offset: gauge!(names::CLOCK_OFFSET),
            clock_offset_error: gauge!(names::CLOCK_OFFSET_ERROR),
            proven: gauge!(names::PROVEN_TIMESTAMP),
            horizon: gauge!(names::HORIZON_TIMESTAMP),
            bytes: gauge!(names::INDEX_BYTES),
            replay: gauge!(names::REPLAY_RATIO),
            bound: gauge!(names::STALENESS_BOUND),
        }
    }

    pub(crate) fn verified(&self, key: KeySlot) {
        count(&self.verified, key);
    }

    pub(crate) fn rejected(&self, kind: MessageRejectionKind) {
        if kind == MessageRejectionKind::Signature {
            self.invalid_signatures.increment(1);
        }
        count(&self.rejected, kind);
    }

    pub(crate) fn gap(&self, gap: GapCause) {
        count(&self.gaps, gap);
    }

    pub(crate) fn suspicion(&self, suspicion: LossSuspicion) {
        count(&self.suspicions, suspicion);
    }

    pub(crate) fn read_error(&self, cause: OutageCause) {
        count(&self.read_errors, cause);
    }

    /// Reports the share of the history that was read, from 0 to 1.
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
        for (outage, gauge) in OutageCause::ALL.into_iter().zip(&self.outages) {
            gauge.set(flag(readiness.outage == Some(outage)));
        }
        for (alarm, gauge) in Degraded::ALL.into_iter().zip(&self.degraded) {
            gauge.set(flag(readiness.degraded == Some(alarm)));
        }
        self.unready(readiness.unready.map(UnknownCause::label));
    }

    fn unready(&self, unready: Option<&str>) {
        for (label, gauge) in UnknownCause::LABELS.into_iter().zip(&self.unready) {
            gauge.set(if unready == Some(label) { 1.0 } else { 0.0 });
        }
    }

    /// Reports that the follower has ended: the view is no longer fresh, and its age exceeds every
    /// threshold.
    pub(crate) fn ended(&self) {
        self.fresh.set(0.0);
        self.age.set(f64::INFINITY);
        self.unready(Some("stale"));
    }

    /// Reports the size of the index, which takes longer to compute and changes slowly.
    pub(crate) fn size(&self, revocations: &Revocations) {
        self.bytes.set(revocations.bytes() as f64);
    }

    /// Records the time from adding a new message to its stream until it was applied.
    pub(crate) fn lag(&self, event: &Event<'_>, id: StreamId, applied: Duration) {
        self.propagation.set(applied.as_secs_f64());
        if event.changes().is_empty() {
            return;
        }
        self.lag_applied.record(applied.as_secs_f64());
        let Some(decided) = event.decided() else { return };
        // Both times are whole milliseconds of two clocks, so their order may be wrong.
        let published = Duration::from_millis(id.ms.saturating_sub(decided.as_millis()));
        self.lag_published.record(published.as_secs_f64());
        self.lag_total.record((published + applied).as_secs_f64());
    }

    /// Reports the lead of the server's clock and its possible error, in seconds.
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
