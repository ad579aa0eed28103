//! The registry of running requests, by everything that can end them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::anchors::Anchor;
use crate::clock::{Moment, UnixSeconds};
use crate::digest::Digest;
use crate::index::Mark;
use crate::staleness::{Bound, Staleness};

/// The number of shards: more than cores, so that requests rarely contend for a lock.
const SHARDS: usize = 64;

/// A registered request, as the registry uses it. A trait object, because only searches call it;
/// registering and leaving do not.
pub(crate) trait Waiter: Send + Sync {
    /// Cuts the request if it must end now.
    fn recheck(&self, now: Moment);
    /// Cuts the request if it depends on this anchor.
    fn deny(&self, anchor: Digest, mark: Mark);
    /// Returns `true` if the request was cut.
    fn is_cut(&self) -> bool;
    /// Returns the second in which the token was issued.
    fn issued(&self) -> UnixSeconds;
    /// Returns the limits at which time alone cuts the request.
    fn limits(&self) -> Limits;
    /// Returns a value that identifies the request while it is registered.
    fn address(&self) -> usize;
}

/// The limits at which time alone cuts a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The second in which the request ends.
    pub(crate) deadline: UnixSeconds,
    /// The bound on staleness, if the route cuts requests when the state is unknown.
    pub(crate) bound: Option<Bound>,
}

/// All keys under which a request is registered.
#[derive(Debug)]
pub(crate) struct Entry<'r> {
    pub(crate) anchors: &'r [Anchor],
    /// `None` if the request's epoch is not checked, or is unknown.
    pub(crate) epoch: Option<ZoneEpoch>,
    pub(crate) limits: Limits,
    /// See [`Waiter::address`].
    pub(crate) address: usize,
}

/// An epoch of a zone. `ended_only` separates requests that only ended delegations make stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ZoneEpoch {
    zone: u64,
    ended_only: bool,
    epoch: u64,
}

impl ZoneEpoch {
    pub(crate) const fn new(zone: Digest, ended_only: bool, epoch: u64) -> Self {
        Self { zone: zone.short(), ended_only, epoch }
    }
}

/// The registered requests, under each of their anchors, their zone's epoch, their end and their
/// bound on staleness.
///
/// It holds weak references. Dropping the last part of a request removes it. A lock is held for one
/// step on one map, and no request is cut or dropped under a lock.
#[derive(Debug)]
pub(crate) struct Registry {
    /// Requests by the short digest of each anchor. A collision only causes a needless recheck.
    anchors: Box<[OrderedIndex<u64>]>,
    zones: OrderedIndex<ZoneEpoch>,
    /// Requests by the second in which they end.
    deadlines: OrderedIndex<UnixSeconds>,
    /// Requests by the staleness beyond which they are cut.
    bounds: OrderedIndex<Bound>,
    /// The number of searches for requests.
    #[cfg(test)]
    pub(crate) searches: std::sync::atomic::AtomicUsize,
}

/// Requests, ordered by a key. Two requests under the same key differ in their address, which does
/// not change while a request is registered.
#[derive(Debug)]
struct OrderedIndex<K>(Mutex<Requests<K>>);

type Requests<K> = BTreeMap<(K, usize), Weak<dyn Waiter>>;

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            anchors: (0..SHARDS).map(|_| OrderedIndex::default()).collect(),
            zones: OrderedIndex::default(),
            deadlines: OrderedIndex::default(),
            bounds: OrderedIndex::default(),
            #[cfg(test)]
            searches: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Registers the request under every key of the entry.
    pub(crate) fn insert(&self, entry: &Entry<'_>, request: &Weak<dyn Waiter>) {
        let address = entry.address;
        for anchor in entry.anchors {
            let key = (anchor.digest().short(), address);
            self.shard(anchor.digest()).inspect(|index| index.insert(key, request));
        }
        if let Some(epoch) = entry.epoch {
            self.zones.insert((epoch, address), request);
        }
        self.insert_limits(entry.limits, address, request);
    }

    /// Removes the request that [`Self::insert`] registered under this entry.
    pub(crate) fn remove(&self, entry: &Entry<'_>) {
        let address = entry.address;
        for anchor in entry.anchors {
            let key = (anchor.digest().short(), address);
            self.shard(anchor.digest()).inspect(|index| index.remove(key));
        }
        if let Some(epoch) = entry.epoch {
            self.zones.remove((epoch, address));
        }
        self.deadlines.remove((entry.limits.deadline, address));
        if let Some(bound) = entry.limits.bound {
            self.bounds.remove((bound, address));
        }
    }

    /// Returns the requests that depend on an anchor.
    pub(crate) fn on_anchor(&self, anchor: Digest) -> Vec<Arc<dyn Waiter>> {
        self.count_search();
        let key = anchor.short();
        self.shard(anchor).map_or_else(Vec::new, |index| index.within(key..=key))
    }

    /// Returns the requests of the zone whose epoch is below the current one.
    pub(crate) fn below_epoch(
        &self,
        zone: Digest,
        current: u64,
        ended: u64,
    ) -> Vec<Arc<dyn Waiter>> {
        self.count_search();
        let below = |ended_only, current: u64| {
            let of = |epoch| ZoneEpoch::new(zone, ended_only, epoch);
            self.zones.within(of(0)..=of(current.saturating_sub(1)))
        };
        let mut found = below(false, current);
        found.append(&mut below(true, ended));
        found
    }

    /// Removes and returns the requests that end by this second, or whose bound this staleness
    /// exceeds. Without a proof (`None`), every request with a bound is returned. The caller cuts
    /// each one, or puts it [back](Self::await_again).
    pub(crate) fn take_overdue(
        &self,
        second: UnixSeconds,
        staleness: Option<Staleness>,
    ) -> Vec<Arc<dyn Waiter>> {
        let mut overdue = self.deadlines.take(|deadline| deadline <= second);
        overdue.append(
            &mut self
                .bounds
                .take(|bound| staleness.is_none_or(|staleness| staleness.exceeds(bound))),
        );
        overdue
    }

    /// Puts a request back that [`Self::take_overdue`] removed.
    pub(crate) fn await_again(&self, request: &Arc<dyn Waiter>) {
        self.insert_limits(request.limits(), request.address(), &Arc::downgrade(request));
    }

    fn insert_limits(&self, limits: Limits, address: usize, request: &Weak<dyn Waiter>) {
        self.deadlines.insert((limits.deadline, address), request);
        if let Some(bound) = limits.bound {
            self.bounds.insert((bound, address), request);
        }
    }

    /// Returns the next second in which a request ends, and the smallest bound.
    pub(crate) fn next(&self) -> (Option<UnixSeconds>, Option<Bound>) {
        (self.deadlines.first(), self.bounds.first())
    }

    /// Returns the requests on tokens issued up to this second, each at least once. It visits every
    /// request, because a horizon concerns nearly all of them.
    pub(crate) fn issued_up_to(&self, second: UnixSeconds) -> Vec<Arc<dyn Waiter>> {
        self.count_search();
        let issued = |request: &dyn Waiter| request.issued() <= second;
        self.anchors.iter().flat_map(|index| index.all(issued)).collect()
    }

    /// Returns the number of anchor entries: at least one for each request.
    pub(crate) fn len(&self) -> usize {
        self.anchors.iter().map(|index| index.lock().len()).sum()
    }

    fn count_search(&self) {
        #[cfg(test)]
        self.searches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn shard(&self, anchor: Digest) -> Option<&OrderedIndex<u64>> {
        self.anchors.get(anchor.strong() as usize % SHARDS)
    }
}

impl<K> Default for OrderedIndex<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> OrderedIndex<K> {
    fn insert(&self, key: (K, usize), request: &Weak<dyn Waiter>) {
        self.lock().insert(key, Weak::clone(request));
    }

    fn remove(&self, key: (K, usize)) {
        let left = self.lock().remove(&key);
        drop(left);
    }

    fn within(&self, keys: RangeInclusive<K>) -> Vec<Arc<dyn Waiter>> {
        let keys = (*keys.start(), 0)..=(*keys.end(), usize::MAX);
        self.lock().range(keys).filter_map(|(_, request)| request.upgrade()).collect()
    }

    /// Removes and returns all requests whose keys are overdue, the lowest key first.
    fn take(&self, overdue: impl Fn(K) -> bool) -> Vec<Arc<dyn Waiter>> {
        let (mut all, mut taken) = (self.lock(), Vec::new());
        while let Some(first) = all.first_entry().filter(|first| overdue(first.key().0)) {
            taken.extend(first.remove().upgrade());
        }
        taken
    }

    fn all(&self, condition: impl Fn(&dyn Waiter) -> bool) -> Vec<Arc<dyn Waiter>> {
        let all = self.lock();
        // No request may be dropped under this lock, because dropping it takes the lock again.
        let found: Vec<_> = all.values().filter_map(Weak::upgrade).collect();
        drop(all);
        found.into_iter().filter(|request| condition(&**request)).collect()
    }

    fn first(&self) -> Option<K> {
        self.lock().first_key_value().map(|((key, _), _)| *key)
    }

    fn lock(&self) -> MutexGuard<'_, Requests<K>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
