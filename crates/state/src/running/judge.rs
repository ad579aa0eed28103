//! Which running requests a change of the state concerns, and whether they must end.

use std::sync::Arc;
use std::time::Duration;

use super::cut::Cut;
use super::handle::Request;
use crate::Moment;
use crate::digest::Digest;
use crate::freshness::nanos;
use crate::index::Mark;
use crate::state::State;
use crate::verdict::{Facts, Unknown, Verdict, verdict};

impl State {
    /// See [`Revocations::cut_overdue`](crate::Revocations::cut_overdue).
    pub(crate) fn cut_overdue(&self, now: Moment) -> Option<Duration> {
        let running = &self.running;
        let staleness = self.freshness.staleness(now).unwrap_or(Duration::MAX);
        for request in running.take_overdue(now.wall.as_secs(), staleness) {
            request.judge(now);
            // A proof may have come in between.
            if !request.is_cut() {
                running.await_again(&request);
            }
        }
        let (deadline, bound) = running.next();
        let until_end = deadline.map(|second| Duration::from_secs(second).saturating_sub(now.wall));
        let until_unknown = bound.map(|bound| bound.saturating_sub(staleness));
        until_end.into_iter().chain(until_unknown).min()
    }

    pub(super) fn enter(self: &Arc<Self>, request: &Arc<Request>) {
        self.running.enter(request, self.zone_digest(request));
        self.timekeeper.expect(self);
    }

    pub(super) fn leave(&self, request: &Request) {
        self.running.leave(request, self.zone_digest(request));
    }

    fn zone_digest(&self, request: &Request) -> Option<Digest> {
        let zone = request.grounds().zone.as_deref();
        zone.filter(|_| request.watch.checks.delegation_epoch).map(|zone| self.index.digest(zone))
    }

    pub(crate) fn cut_on_anchor(&self, anchor: Digest, now: Moment) {
        let requests = self.running.on_anchor(anchor);
        requests.iter().for_each(|request| request.judge(now));
    }

    /// Where the state is full, what was said of the anchor may have found no room, and nobody
    /// would find it: what runs on the anchor ends by what was said.
    pub(crate) fn cut_without_room(&self, anchor: Digest, mark: Mark) {
        if self.index.is_full() {
            for request in self.running.on_anchor(anchor) {
                request.refuse(anchor, mark);
            }
        }
    }

    pub(crate) fn cut_below_epoch(&self, zone: &str, now: Moment) {
        let view = self.zones.view(zone);
        let zone = self.index.digest(zone);
        let (current, ended) = (view.delegation_epoch, view.delegation_ended_epoch);
        let requests = self.running.below_epoch(zone, current, ended);
        requests.iter().for_each(|request| request.judge(now));
    }

    pub(crate) fn cut_made_up_to(&self, second: i64) {
        let now = self.now();
        let requests = self.running.made_up_to(second);
        requests.iter().for_each(|request| request.judge(now));
    }

    /// Whether the request must end: as a new one would be refused, and by its own end.
    pub(super) fn must_cut(&self, request: &Request, now: Moment) -> Option<Cut> {
        let (grounds, watch) = (request.grounds(), &request.watch);
        // In the order of `Revocations::decide`, for its reason.
        let staleness = self.freshness.staleness_ns(now);
        let fails_closed = !watch.checks.fail_open_unknown;
        let is_full = self.index.is_full() && fails_closed;
        let horizons = self.horizon.heights(now);
        let zone = grounds.zone.as_deref();
        let epoch_is_stale = self.epoch_is_stale(zone, grounds.epoch, &watch.checks);
        let found = grounds.find(&self.index, watch.checks.chain);
        let facts = Facts {
            mark: found.strongest,
            iat: grounds.iat,
            // Its end is this watch's own: see below.
            out_of_time: None,
            epoch_is_stale,
            // That something is unknown hides no refusal here.
            staleness: Ok(0),
            bound: u64::MAX,
            is_full: false,
            horizon: horizons
                .second(!found.resumed && grounds.is_in_tables)
                .filter(|_| watch.checks.horizon)
                .map(|second| self.options.height(second, grounds.has_earlier_hops)),
            fail_open: false,
        };
        let unknown = match verdict(&facts) {
            Verdict::Refused(refusal) => return Some(Cut::Refused(refusal)),
            Verdict::Unknown(unknown) => Some(unknown),
            Verdict::Admitted(_) => None,
        };
        if now.wall.as_secs() >= request.deadline() {
            return Some(Cut::Expired);
        }
        let bound = nanos(watch.bound?);
        Unknown::of(staleness, bound, is_full).or(unknown).map(Cut::Unknown)
    }
}
