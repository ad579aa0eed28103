//! The counters, registered once so that a request only adds to them.

use std::sync::Arc;

use metrics::{Counter, counter, describe_counter};

use crate::RejectionKind;
use crate::answer::Alert;

const DENIALS: &str = "caracal_gateway_denials_total";
const REVOKED: &str = "caracal_gateway_denials_revoked_total";
const STALE: &str = "caracal_gateway_denials_revocation_stale_total";
const OBSERVED: &str = "caracal_gateway_observed_denials_total";

#[derive(Clone, Debug)]
pub(crate) struct Counters {
    denials: Arc<[Counter]>,
    revoked: Counter,
    stale: Counter,
    observed: Arc<[Counter]>,
}

impl Counters {
    pub(crate) fn register() -> Self {
        describe_counter!(DENIALS, "Requests that were denied, by reason.");
        describe_counter!(REVOKED, "Requests that were denied because their authority ended.");
        describe_counter!(
            STALE,
            "Requests that were denied because the revocation state was not fresh enough."
        );
        describe_counter!(OBSERVED, "Requests that would have been denied, by reason.");
        Self {
            denials: by_reason(DENIALS),
            revoked: counter!(REVOKED),
            stale: counter!(STALE),
            observed: by_reason(OBSERVED),
        }
    }

    pub(crate) fn denied(&self, kind: RejectionKind) {
        if let Some(denials) = self.denials.get(kind.index()) {
            denials.increment(1);
        }
        match kind.answer().alert {
            Some(Alert::Revoked) => self.revoked.increment(1),
            Some(Alert::Stale) => self.stale.increment(1),
            None => {}
        }
    }

    /// A request that went on although it would have been denied: no denial, so counted apart.
    pub(crate) fn observed(&self, kind: RejectionKind) {
        if let Some(observed) = self.observed.get(kind.index()) {
            observed.increment(1);
        }
    }
}

fn by_reason(name: &'static str) -> Arc<[Counter]> {
    RejectionKind::ALL.iter().map(|kind| counter!(name, "reason" => kind.label())).collect()
}
