//! The metrics of the layers. They are registered once, so that a request only adds to counters.

use std::sync::Arc;

use caracal_revocation_state::{CutPoint, CutReport, UnknownCause};
use metrics::{
    Counter, Histogram, Label, Unit, counter, describe_counter, describe_histogram, histogram,
};

#[cfg(feature = "opa")]
use crate::PolicyDenialKind;
use crate::answer::{Alert, Profile};
use crate::{RequestDenial, RequestDenialKind};

const LAG: &str = "caracal_revocation_lag_seconds";

#[cfg(feature = "opa")]
const POLICY_DENIALS: &str = "caracal_sts_opa_denials_total";

/// The names of the counters of one profile.
struct Names {
    denials: &'static str,
    revoked: &'static str,
    stale: &'static str,
    observed: &'static str,
    failed_open: &'static str,
    /// The counter of cut requests. The STS layer cuts nothing, and does not register it.
    cuts: &'static str,
}

impl Names {
    const fn of(profile: Profile) -> Self {
        match profile {
            Profile::Gateway => Self {
                denials: "caracal_gateway_denials_total",
                revoked: "caracal_gateway_denials_revoked_total",
                stale: "caracal_gateway_denials_revocation_stale_total",
                observed: "caracal_gateway_observed_denials_total",
                failed_open: "caracal_gateway_failed_open_total",
                cuts: "caracal_gateway_cuts_total",
            },
            Profile::Resource => Self {
                denials: "caracal_resource_denials_total",
                revoked: "caracal_resource_denials_revoked_total",
                stale: "caracal_resource_denials_revocation_stale_total",
                observed: "caracal_resource_observed_denials_total",
                failed_open: "caracal_resource_failed_open_total",
                cuts: "caracal_resource_cuts_total",
            },
            Profile::Sts => Self {
                denials: "caracal_sts_denials_total",
                revoked: "caracal_sts_denials_revoked_total",
                stale: "caracal_sts_denials_revocation_stale_total",
                observed: "caracal_sts_observed_denials_total",
                failed_open: "caracal_sts_failed_open_total",
                cuts: "caracal_sts_cuts_total",
            },
        }
    }
}

/// The upper bounds, in seconds, of the buckets of `caracal_revocation_lag_seconds`: from 100 µs to
/// a minute.
///
/// The [`metrics`] facade leaves buckets to the exporter. A service with its own exporter must set
/// them there, because the dashboard and the alerts expect buckets and not summaries. With
/// metrics-exporter-prometheus:
///
/// ```ignore
/// PrometheusBuilder::new().set_buckets_for_metric(
///     Matcher::Full("caracal_revocation_lag_seconds".into()),
///     &caracal_revocation::metrics::LAG_BUCKETS,
/// )?
/// ```
pub const LAG_BUCKETS: [f64; 18] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

/// The proxy or listener that requests come through: a label of all counters of a layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Front(Option<&'static str>);

impl Front {
    pub(crate) const fn new(front: &'static str) -> Self {
        Self(Some(front))
    }

    fn labels(self, own: &[(&'static str, &'static str)]) -> Vec<Label> {
        let front = self.0.map(|front| ("front", front));
        let all = own.iter().copied().chain(front);
        all.map(|(name, value)| Label::from_static_parts(name, value)).collect()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Counters {
    profile: Profile,
    front: Front,
    denials: Arc<[Counter]>,
    revoked: Counter,
    stale: Counter,
    observed: Arc<[Counter]>,
    /// The counters in the order of [`UnknownCause::LABELS`].
    failed_open: Arc<[Counter]>,
    /// Requests that went on although the use of their mandate is unknown. Only a gateway has any.
    use_failed_open: Option<Counter>,
    enforced: Histogram,
}

impl Counters {
    pub(crate) fn register(profile: Profile, front: Front) -> Self {
        let Names { denials, revoked, stale, observed, failed_open, .. } = Names::of(profile);
        describe_counter!(denials, "Requests that were denied, by reason.");
        describe_counter!(revoked, "Requests that were denied because their authority ended.");
        describe_counter!(
            stale,
            "Requests that were denied because the revocation state was not fresh enough."
        );
        describe_counter!(observed, "Requests that would have been denied, by reason.");
        describe_counter!(
            failed_open,
            "Requests that were let through although the state was unknown, by cause."
        );
        describe_histogram!(
            LAG,
            Unit::Seconds,
            "Time that a revocation took from the previous stage to this one"
        );
        Self {
            profile,
            front,
            denials: by_reason(denials, front),
            revoked: counter!(revoked, front.labels(&[])),
            stale: counter!(stale, front.labels(&[])),
            observed: by_reason(observed, front),
            failed_open: UnknownCause::LABELS
                .map(|cause| counter!(failed_open, front.labels(&[("cause", cause)])))
                .into(),
            use_failed_open: (profile == Profile::Gateway)
                .then(|| counter!(failed_open, front.labels(&[("cause", "use_unknown")]))),
            enforced: histogram!(LAG, "stage" => "enforced"),
        }
    }

    pub(crate) const fn front(&self) -> Option<&'static str> {
        self.front.0
    }

    pub(crate) fn denied(&self, kind: RequestDenialKind) {
        if let Some(denials) = self.denials.get(kind.index()) {
            denials.increment(1);
        }
        match self.profile.answer(kind).alert {
            Some(Alert::Revoked) => self.revoked.increment(1),
            Some(Alert::Stale) => self.stale.increment(1),
            None => {}
        }
    }

    /// Counts a request that went on although the state was unknown.
    pub(crate) fn failed_open(&self, unknown: UnknownCause) {
        let causes = UnknownCause::LABELS.iter().zip(&*self.failed_open);
        for (_, counter) in causes.filter(|(cause, _)| **cause == unknown.label()) {
            counter.increment(1);
        }
    }

    /// Counts a request that went on although the record of used mandates could not be asked.
    pub(crate) fn use_failed_open(&self) {
        if let Some(counter) = &self.use_failed_open {
            counter.increment(1);
        }
    }

    /// Records the lag of a revocation at the first request that it denies.
    pub(crate) fn enforced(&self, rejection: &RequestDenial) {
        if let Some(lag) = rejection.enforcement_lag() {
            self.enforced.record(lag.as_secs_f64());
        }
    }

    /// Counts a request that went on although it would have been denied.
    pub(crate) fn observed(&self, kind: RequestDenialKind) {
        if let Some(observed) = self.observed.get(kind.index()) {
            observed.increment(1);
        }
    }
}

/// The counters of cut requests, by part and reason. Only one reason of each part is registered in
/// advance: cuts are rare, and more reasons may be added.
#[derive(Clone, Debug)]
pub(crate) struct CutCounters {
    name: &'static str,
    front: Front,
}

impl CutCounters {
    pub(crate) fn register(profile: Profile, front: Front) -> Self {
        let name = Names::of(profile).cuts;
        describe_counter!(name, "Running requests that were cut, by part and reason.");
        let counters = Self { name, front };
        for part in CutPoint::ALL {
            counters.counter(part, "revoked").increment(0);
        }
        counters
    }

    pub(crate) fn cut(&self, report: &CutReport<'_>) {
        self.counter(report.part, report.cut.label()).increment(1);
    }

    fn counter(&self, part: CutPoint, reason: &'static str) -> Counter {
        let own = [("part", part.label()), ("reason", reason)];
        counter!(self.name, self.front.labels(&own))
    }
}

fn by_reason(name: &'static str, front: Front) -> Arc<[Counter]> {
    let labels = |kind: &RequestDenialKind| front.labels(&[("reason", kind.label())]);
    RequestDenialKind::ALL.iter().map(|kind| counter!(name, labels(kind))).collect()
}

/// The counters of a policy layer.
#[cfg(feature = "opa")]
#[derive(Clone, Debug)]
pub(crate) struct PolicyCounters(Arc<[Counter]>);

#[cfg(feature = "opa")]
impl PolicyCounters {
    pub(crate) fn register() -> Self {
        describe_counter!(POLICY_DENIALS, "Requests that a policy layer denied, by reason.");
        let count = |kind: &PolicyDenialKind| counter!(POLICY_DENIALS, "reason" => kind.label());
        Self(PolicyDenialKind::ALL.iter().map(count).collect())
    }

    pub(crate) fn denied(&self, kind: PolicyDenialKind) {
        if let Some(denials) = self.0.get(kind.index()) {
            denials.increment(1);
        }
    }
}
