//! Selects the running requests that a change of the state, or the time, may cut.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Moment, UnixSeconds};
use crate::digest::Digest;
use crate::index::Mark;
use crate::running::registry::{Tasks, Waiter};
use crate::running::waking::Task;
use crate::state::State;

impl State {
    /// Makes the timekeeper check soon, because a request now has an end.
    pub(crate) fn expect_end(self: &Arc<Self>) {
        self.timekeeper.expect(|| {
            // Weak: the thread must not keep the state alive while it sleeps.
            let state = Arc::downgrade(self);
            move || match state.upgrade() {
                Some(state) => ControlFlow::Continue(state.cut_overdue(state.now())),
                None => ControlFlow::Break(()),
            }
        });
    }

    /// Cuts overdue requests: see [`Revocations::cut_overdue`](crate::Revocations::cut_overdue).
    pub(crate) fn cut_overdue(&self, now: Moment) -> Option<Duration> {
        let running = &self.running;
        let staleness = self.freshness.staleness_at(now).ok();
        let mut tasks = Vec::new();
        for request in running.take_overdue(UnixSeconds::of(now), staleness) {
            tasks.extend(Task::all_of(&*request, request.recheck(now)));
            // A proof may have arrived in between; the request then continues.
            if !request.is_cut() {
                running.await_again(&request);
            }
        }
        self.waking.wake(tasks);
        let (deadline, bound) = running.next();
        let until_end = deadline.map(|second| second.time_left(now));
        let until_unknown =
            bound.map(|bound| staleness.map_or(Duration::ZERO, |staleness| bound.left(staleness)));
        until_end.into_iter().chain(until_unknown).min()
    }

    pub(crate) fn cut_on_anchor(&self, anchor: Digest, now: Moment) {
        self.recheck(&self.running.on_anchor(anchor), now);
    }

    /// Cuts the requests on the anchor with this mark, if the index is full. The mark may have
    /// found no room there, so a recheck would not find it.
    pub(crate) fn cut_without_room(&self, anchor: Digest, mark: Mark) {
        if self.index.is_full() {
            let requests = self.running.on_anchor(anchor);
            self.cut_and_wake(&requests, |request| request.deny(anchor, mark));
        }
    }

    pub(crate) fn cut_below_epoch(&self, zone: &str, now: Moment) {
        let view = self.zones.view(zone);
        let zone = self.index.digest(zone);
        let (current, ended) = (view.delegation_epoch, view.delegation_ended_epoch);
        self.recheck(&self.running.below_epoch(zone, current, ended), now);
    }

    pub(crate) fn cut_issued_up_to(&self, second: UnixSeconds) {
        self.recheck(&self.running.issued_up_to(second), self.now());
    }

    /// Cuts those of the requests that must end.
    fn recheck(&self, requests: &[Arc<dyn Waiter>], now: Moment) {
        self.cut_and_wake(requests, |request| request.recheck(now));
    }

    /// Calls `cut` for each request, and wakes the tasks that it returns. All requests are marked
    /// before the first task is woken: from then on, they pass nothing.
    fn cut_and_wake(&self, requests: &[Arc<dyn Waiter>], cut: impl Fn(&dyn Waiter) -> Tasks) {
        let tasks = requests.iter().flat_map(|request| Task::all_of(&**request, cut(&**request)));
        self.waking.wake(tasks.collect());
    }
}
