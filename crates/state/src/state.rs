//! The inner state: the writer changes it; readers, authorities and running requests ask it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::claims::Claims;
use crate::clock::{Clock, Moment};
use crate::freshness::{Freshness, nanos};
use crate::grounds::Grounds;
use crate::horizon::Horizon;
use crate::index::Index;
use crate::options::Options;
use crate::recent::Recent;
use crate::running::{Registry, Timekeeper};
use crate::zones::Zones;

/// Tells one state from every other of this process.
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
    /// The option of this name, in nanoseconds.
    pub(crate) deny_after: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) index: Index,
    pub(crate) recent: Recent,
    pub(crate) zones: Zones,
    pub(crate) freshness: Freshness,
    pub(crate) horizon: Horizon,
    pub(crate) running: Registry,
    pub(crate) timekeeper: Timekeeper,
    /// The shortest bound that anybody asks for, in nanoseconds.
    pub(crate) shortest_bound: AtomicU64,
    pub(crate) ready: Notify,
}

impl State {
    pub(crate) fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        let options = options.in_order();
        Self {
            id: StateId::next(),
            deny_after: nanos(options.deny_after),
            options,
            clock,
            index: Index::with_room_for(options.max_entries),
            recent: Recent::new(),
            zones: Zones::default(),
            freshness: Freshness::default(),
            horizon: Horizon::default(),
            running: Registry::new(),
            timekeeper: Timekeeper::default(),
            shortest_bound: AtomicU64::new(nanos(options.deny_after)),
            ready: Notify::new(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Now, in minutes of the process.
    pub(crate) fn now_minute(&self) -> u32 {
        minute(self.now().monotonic)
    }

    pub(crate) fn grounds<S: AsRef<str>>(&self, claims: &Claims<S>, chain: bool) -> Grounds {
        Grounds::of(claims, chain, |id| self.index.digest(id))
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

/// Whole minutes of the process; 2^24 of them are 31 years.
pub(crate) fn minute(since: Duration) -> u32 {
    u32::try_from(since.as_secs() / 60).unwrap_or(u32::MAX)
}
