//! The counters, registered once so that a request only adds to them.

use std::sync::Arc;

use caracal_revocation_state::{CutPart, CutReport, Unknown};
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use crate::answer::{Alert, Profile};
use crate::{Rejection, RejectionKind};

#[derive(Clone, Debug)]
pub(crate) struct Counters {
    profile: Profile,
    denials: Arc<[Counter]>,
    revoked: Counter,
    stale: Counter,
    observed: Arc<[Counter]>,
    /// In the order of [`Unknown::LABELS`].
    failed_open: Arc<[Counter]>,
    enforced: Histogram,
}

impl Counters {
    pub(crate) fn register(profile: Profile) -> Self {
        let name = |what: &str| format!("caracal_{}_{what}_total", profile.label());
        let [denials, revoked, stale, observed, failed_open] = [
            "denials",
            "denials_revoked",
            "denials_revocation_stale",
            "observed_denials",
            "failed_open",
        ]
        .map(name);
        describe_counter!(denials.clone(), "Requests that were denied, by reason.");
        describe_counter!(
            revoked.clone(),
            "Requests that were denied because their authority ended."
        );
        describe_counter!(
            stale.clone(),
            "Requests that were denied because the revocation state was not fresh enough."
        );
        describe_counter!(observed.clone(), "Requests that would have been denied, by reason.");
        describe_counter!(
            failed_open.clone(),
            "Requests that were let through although too little was known, by the cause."
        );
        describe_histogram!(
            "caracal_revocation_lag_seconds",
            Unit::Seconds,
            "How long a revocation took from the stage before to this one"
        );
        Self {
            profile,
            denials: by_reason(&denials),
            revoked: counter!(revoked),
            stale: counter!(stale),
            observed: by_reason(&observed),
            failed_open: Unknown::LABELS
                .map(|cause| counter!(failed_open.clone(), "cause" => cause))
                .into(),
            enforced: histogram!("caracal_revocation_lag_seconds", "stage" => "enforced"),
        }
    }

    pub(crate) fn denied(&self, kind: RejectionKind) {
        if let Some(denials) = self.denials.get(kind.index()) {
            denials.increment(1);
        }
        match self.profile.answer(kind).alert {
            Some(Alert::Revoked) => self.revoked.increment(1),
            Some(Alert::Stale) => self.stale.increment(1),
            None => {}
        }
    }

    /// A request that went on although too little was known.
    pub(crate) fn failed_open(&self, unknown: Unknown) {
        let causes = Unknown::LABELS.iter().zip(&*self.failed_open);
        for (_, counter) in causes.filter(|(cause, _)| **cause == unknown.label()) {
            counter.increment(1);
        }
    }

    /// The first request that was refused for a revocation tells how long that took.
    pub(crate) fn enforced(&self, rejection: &Rejection) {
        if let Some(lag) = rejection.enforcement_lag() {
            self.enforced.record(lag.as_secs_f64());
        }
    }

    /// A request that went on although it would have been denied: no denial, so counted apart.
    pub(crate) fn observed(&self, kind: RejectionKind) {
        if let Some(observed) = self.observed.get(kind.index()) {
            observed.increment(1);
        }
    }
}

/// The counters of what was cut: by part and reason. A cut is rare, and its reasons may grow, so
/// they are not registered ahead but for one of each part.
#[derive(Clone, Debug)]
pub(crate) struct CutCounters(String);

impl CutCounters {
    pub(crate) fn register(profile: Profile) -> Self {
        let name = format!("caracal_{}_cuts_total", profile.label());
        describe_counter!(name.clone(), "Running requests that were cut, by part and reason.");
        let counters = Self(name);
        for part in CutPart::ALL {
            counters.counter(part, "revoked").increment(0);
        }
        counters
    }

    pub(crate) fn cut(&self, report: &CutReport<'_>) {
        self.counter(report.part, report.cut.label()).increment(1);
    }

    fn counter(&self, part: CutPart, reason: &'static str) -> Counter {
        counter!(self.0.clone(), "part" => part.label(), "reason" => reason)
    }
}

fn by_reason(name: &str) -> Arc<[Counter]> {
    RejectionKind::ALL
        .iter()
        .map(|kind| counter!(name.to_owned(), "reason" => kind.label()))
        .collect()
}
