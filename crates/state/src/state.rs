//! The inner state: the writer changes it; readers, authorities and running requests read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::anchors::AnchorSet;
use crate::claims::Claims;
use crate::clock::{Clock, Minute, Moment, nanos};
use crate::freshness::Freshness;
use crate::horizon::Horizon;
use crate::index::Index;
use crate::options::Options;
use crate::recent::Recent;
use crate::report::Report;
use crate::running::registry::Registry;
use crate::running::timekeeper::Timekeeper;
use crate::running::waking::Waking;
use crate::staleness::Bound;
use crate::zones::Zones;

/// Identifies a state within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateId(u64);

impl StateId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: StateId,
    pub(crate) options: Options,
    /// The option `deny_after`, as a bound.
    pub(crate) deny_after: Bound,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) index: Index,
    pub(crate) recent: Recent,
    pub(crate) zones: Zones,
    pub(crate) freshness: Freshness,
    pub(crate) horizon: Horizon,
    pub(crate) running: Registry,
    pub(crate) timekeeper: Timekeeper,
    pub(crate) waking: Waking,
    /// The shortest bound that any layer requires, in nanoseconds.
    pub(crate) shortest_bound: AtomicU64,
    pub(crate) ready: Notify,
    pub(crate) report: Report,
}

impl State {
    pub(crate) fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        let options = options.in_order();
        Self {
            id: StateId::next(),
            deny_after: Bound::new(options.deny_after),
            options,
            clock,
            index: Index::with_room_for(options.max_entries),
            recent: Recent::new(),
            zones: Zones::default(),
            freshness: Freshness::default(),
            horizon: Horizon::default(),
            running: Registry::new(),
            timekeeper: Timekeeper::default(),
            waking: Waking::default(),
            shortest_bound: AtomicU64::new(nanos(options.deny_after)),
            ready: Notify::new(),
            report: Report::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(crate) fn now_minute(&self) -> Minute {
        Minute::of(self.now().monotonic)
    }

    pub(crate) fn anchors<S: AsRef<str>>(&self, claims: &Claims<S>, chain: bool) -> AnchorSet {
        AnchorSet::of(claims, chain, |id| self.index.digest(id))
    }

    pub(crate) fn take_lag(
        &self,
        anchors: impl Iterator<Item = u64>,
        now: Moment,
    ) -> Option<Duration> {
        let recent = &self.recent;
        if !recent.is_any(now.monotonic) {
            return None;
        }
        anchors.filter_map(|hash| recent.take(hash, now.monotonic)).max()
    }
}
