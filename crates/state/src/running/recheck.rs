//! Decides whether a running request must end.

use super::cut::Cut;
use super::watch::CutPolicy;
use crate::anchors::AnchorSet;
use crate::clock::{Moment, UnixSeconds};
use crate::staleness::{Bound, Staleness};
use crate::unknown::UnknownCause;
use crate::verdict::{Facts, Verdict, verdict};

/// Returns the reason why a request on these anchors must end, if there is one. Either a new
/// request would be denied, or this request has reached its own end.
pub(super) fn recheck(anchors: &AnchorSet, watch: &CutPolicy, now: Moment) -> Option<Cut> {
    let (state, checks) = (&watch.state, &watch.checks);
    // In the order of `Revocations::decide`, for the same reason.
    let staleness = state.freshness.staleness_at(now);
    let is_full = state.index.is_full();
    let horizons = state.horizon.heights(now);
    let epoch_is_stale = state.epoch_is_stale(anchors.zone.as_deref(), anchors.epoch, checks);
    let found = anchors.find(&state.index, checks.chain);
    let facts = Facts {
        mark: found.strongest,
        iat: anchors.iat,
        // This request has its own deadline: see below.
        out_of_time: None,
        epoch_is_stale,
        // An unknown state must not hide a denial here.
        staleness: Ok(Staleness::from_nanos(0)),
        bound: Bound::NONE,
        is_full: false,
        horizon: horizons
            .second(!found.resumed && anchors.is_in_tables)
            .filter(|_| checks.horizon)
            .map(|second| state.options.height(second, anchors.has_earlier_hops)),
        fail_open: false,
    };
    if let Verdict::Denied(denial) = verdict(&facts) {
        return Some(Cut::Denied(denial));
    }
    if UnixSeconds::of(now) >= watch.deadline(anchors.exp) {
        return Some(Cut::Expired);
    }
    // A route that fails open has no bound.
    UnknownCause::of(staleness, watch.bound?, is_full).map(Cut::Unknown)
}
