//! The registry of running requests, by everything that can end them.

use std::collections::{BTreeMap, btree_map, hash_map};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use rapidhash::RapidHashMap;
use smallvec::SmallVec;

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
    /// Marks the request as cut if it must end now. Returns the tasks that the caller must wake.
    fn recheck(&self, now: Moment) -> Tasks;
    /// Marks the request as cut if it depends on this anchor. Returns the tasks that the caller
    /// must wake.
    fn deny(&self, anchor: Digest, mark: Mark) -> Tasks;
    /// Returns `true` if the request was cut.
    fn is_cut(&self) -> bool;
    /// Returns the id of the request's connection, or 0 if it is unknown.
    fn connection(&self) -> u32;
    /// Returns the second in which the token was issued.
    fn issued(&self) -> UnixSeconds;
    /// Returns the limits at which time alone cuts the request.
    fn limits(&self) -> Limits;
}

/// The wakers of the tasks that wait for one request.
pub(crate) type Tasks = SmallVec<[Waker; 2]>;

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
    /// The request's address in memory, which identifies it while it is registered.
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
    anchors: Box<[AnchorIndex]>,
    zones: OrderedIndex<ZoneEpoch>,
    /// Requests by the second in which they end.
    deadlines: OrderedIndex<UnixSeconds>,
    /// Requests by the staleness beyond which they are cut.
    bounds: OrderedIndex<Bound>,
    /// The number of searches for requests.
    #[cfg(test)]
    pub(crate) searches: std::sync::atomic::AtomicUsize,
}

/// Requests by the short digest of an anchor.
#[derive(Debug, Default)]
struct AnchorIndex(Mutex<RapidHashMap<u64, Requests>>);

/// Requests by a key that has an order.
#[derive(Debug)]
struct OrderedIndex<K>(Mutex<BTreeMap<K, Requests>>);

/// The requests under one key: at least one.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "the map in place would make each entry larger")]
enum Requests {
    /// In place, because most keys have one request.
    One(Weak<dyn Waiter>),
    /// By their addresses, which do not change while they are registered.
    Many(Box<BTreeMap<usize, Weak<dyn Waiter>>>),
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            anchors: (0..SHARDS).map(|_| AnchorIndex::default()).collect(),
            zones: OrderedIndex::default(),
            deadlines: OrderedIndex::default(),
            bounds: OrderedIndex::default(),
            #[cfg(test)]
            searches: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Registers the request under every key of the entry.
    pub(crate) fn insert(&self, entry: &Entry<'_>, request: &Weak<dyn Waiter>) {
        for anchor in entry.anchors {
            let key = anchor.digest().short();
            self.shard(anchor.digest()).inspect(|index| index.insert(key, request));
        }
        if let Some(epoch) = entry.epoch {
            self.zones.insert(epoch, request);
        }
        self.insert_limits(entry.limits, request);
    }

    /// Removes the request that [`Self::insert`] registered under this entry.
    pub(crate) fn remove(&self, entry: &Entry<'_>) {
        let address = entry.address;
        for anchor in entry.anchors {
            let key = anchor.digest().short();
            self.shard(anchor.digest()).inspect(|index| index.remove(key, address));
        }
        if let Some(epoch) = entry.epoch {
            self.zones.remove(epoch, address);
        }
        self.deadlines.remove(entry.limits.deadline, address);
        if let Some(bound) = entry.limits.bound {
            self.bounds.remove(bound, address);
        }
    }

    /// Returns the requests that depend on an anchor.
    pub(crate) fn on_anchor(&self, anchor: Digest) -> Vec<Arc<dyn Waiter>> {
        self.count_search();
        self.shard(anchor).map_or_else(Vec::new, |index| index.on(anchor.short()))
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
        self.insert_limits(request.limits(), &Arc::downgrade(request));
    }

    fn insert_limits(&self, limits: Limits, request: &Weak<dyn Waiter>) {
        self.deadlines.insert(limits.deadline, request);
        if let Some(bound) = limits.bound {
            self.bounds.insert(bound, request);
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
        self.anchors.iter().map(AnchorIndex::len).sum()
    }

    fn count_search(&self) {
        #[cfg(test)]
        self.searches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn shard(&self, anchor: Digest) -> Option<&AnchorIndex> {
        self.anchors.get(anchor.strong() as usize % SHARDS)
    }
}

impl AnchorIndex {
    fn insert(&self, key: u64, request: &Weak<dyn Waiter>) {
        match self.lock().entry(key) {
            hash_map::Entry::Occupied(mut entry) => entry.get_mut().insert(request),
            hash_map::Entry::Vacant(entry) => drop(entry.insert(Requests::one(request))),
        }
    }

    fn remove(&self, key: u64, address: usize) {
        if let hash_map::Entry::Occupied(mut entry) = self.lock().entry(key)
            && entry.get_mut().remove(address)
        {
            entry.remove();
        }
    }

    fn on(&self, key: u64) -> Vec<Arc<dyn Waiter>> {
        self.lock().get(&key).map_or_else(Vec::new, |requests| requests.upgrade().collect())
    }

    fn all(&self, condition: impl Fn(&dyn Waiter) -> bool) -> Vec<Arc<dyn Waiter>> {
        let all = self.lock();
        // No request may be dropped under this lock, because dropping it takes the lock again.
        let found: Vec<_> = all.values().flat_map(Requests::upgrade).collect();
        drop(all);
        found.into_iter().filter(|request| condition(&**request)).collect()
    }

    fn len(&self) -> usize {
        self.lock().values().map(|requests| requests.iter().count()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, RapidHashMap<u64, Requests>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Default for OrderedIndex<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> OrderedIndex<K> {
    fn insert(&self, key: K, request: &Weak<dyn Waiter>) {
        match self.lock().entry(key) {
            btree_map::Entry::Occupied(mut entry) => entry.get_mut().insert(request),
            btree_map::Entry::Vacant(entry) => drop(entry.insert(Requests::one(request))),
        }
    }

    fn remove(&self, key: K, address: usize) {
        if let btree_map::Entry::Occupied(mut entry) = self.lock().entry(key)
            && entry.get_mut().remove(address)
        {
            entry.remove();
        }
    }

    fn within(&self, keys: RangeInclusive<K>) -> Vec<Arc<dyn Waiter>> {
        self.lock().range(keys).flat_map(|(_, requests)| requests.upgrade()).collect()
    }

    /// Removes and returns all requests whose keys are overdue, the lowest key first.
    fn take(&self, overdue: impl Fn(K) -> bool) -> Vec<Arc<dyn Waiter>> {
        let (mut all, mut taken) = (self.lock(), Vec::new());
        while let Some(first) = all.first_entry().filter(|first| overdue(*first.key())) {
            taken.extend(first.remove().upgrade());
        }
        taken
    }

    fn first(&self) -> Option<K> {
        self.lock().first_key_value().map(|(key, _)| *key)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Requests>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn one(request: &Weak<dyn Waiter>) -> Self {
        Self::One(Weak::clone(request))
    }

    fn insert(&mut self, request: &Weak<dyn Waiter>) {
        let entry = |request: &Weak<dyn Waiter>| (address(request), Weak::clone(request));
        match self {
            Self::One(first) => {
                *self = Self::Many(Box::new([entry(first), entry(request)].into()));
            }
            Self::Many(requests) => requests.extend([entry(request)]),
        }
    }

    /// Removes the request at this address. Returns `true` if no other is left: the caller must
    /// then remove the key.
    fn remove(&mut self, at: usize) -> bool {
        match self {
            Self::One(request) => address(request) == at,
            Self::Many(requests) => {
                requests.remove(&at);
                requests.is_empty()
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Weak<dyn Waiter>> {
        let (one, many) = match self {
            Self::One(request) => (Some(request), None),
            Self::Many(requests) => (None, Some(requests.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn upgrade(&self) -> impl Iterator<Item = Arc<dyn Waiter>> {
        self.iter().filter_map(Weak::upgrade)
    }
}

fn address(request: &Weak<dyn Waiter>) -> usize {
    request.as_ptr().cast::<()>().addr()
}
