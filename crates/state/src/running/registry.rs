//! The index from what can end to the requests that run on it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::anchors::Anchor;
use crate::clock::{Moment, UnixSeconds};
use crate::digest::Digest;
use crate::index::Mark;
use crate::staleness::{Bound, Staleness};

/// More shards than cores, so that requests that come and go seldom meet.
const SHARDS: usize = 64;

/// A registered request, as the registry sees it. Dynamic, since only a search calls it; entering
/// and leaving do not.
pub(crate) trait Waiter: Send + Sync {
    /// Cuts the request, if it must end by now.
    fn recheck(&self, now: Moment);
    /// Cuts the request, if it stands on this anchor.
    fn deny(&self, anchor: Digest, mark: Mark);
    /// Returns `true` if the request was cut.
    fn is_cut(&self) -> bool;
    /// Returns when the token was issued.
    fn issued(&self) -> UnixSeconds;
    /// Returns when time alone cuts the request.
    fn limits(&self) -> Limits;
    /// Returns what identifies the request while it is registered.
    fn address(&self) -> usize;
}

/// When time alone cuts a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The second in which it ends.
    pub(crate) deadline: UnixSeconds,
    /// The bound on staleness, if the route cuts what is unknown.
    pub(crate) bound: Option<Bound>,
}

/// Everything that a request is registered under.
#[derive(Debug)]
pub(crate) struct Entry<'r> {
    pub(crate) anchors: &'r [Anchor],
    /// None if the request's epoch is not checked, or says nothing.
    pub(crate) epoch: Option<ZoneEpoch>,
    pub(crate) limits: Limits,
    /// See [`Waiter::address`].
    pub(crate) address: usize,
}

/// An epoch of a zone, among those that only ended delegations make stale or among the others.
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

/// Every registered request, under each of its anchors, its zone's epoch, its end and the bound
/// of what may be unknown.
///
/// It holds requests weakly: whoever drops the last part of one takes it out. Locks are held for
/// one step of one map, and no request is cut or dropped under one.
#[derive(Debug)]
pub(crate) struct Registry {
    /// By short digest: a request that is looked at for another's anchor is not cut for it.
    anchors: Box<[OrderedIndex<u64>]>,
    zones: OrderedIndex<ZoneEpoch>,
    /// By the second in which they end.
    deadlines: OrderedIndex<UnixSeconds>,
    /// By the bound on staleness that cuts them.
    bounds: OrderedIndex<Bound>,
    /// How often requests were looked for.
    #[cfg(test)]
    pub(crate) searches: std::sync::atomic::AtomicUsize,
}

/// Requests in the order of a key. Two under the same key differ by their address, which a request
/// keeps while it is registered.
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

    /// Registers the request under everything that the entry names.
    pub(crate) fn enter(&self, entry: &Entry<'_>, request: &Weak<dyn Waiter>) {
        let address = entry.address;
        for anchor in entry.anchors {
            let key = (anchor.digest().short(), address);
            self.shard(anchor.digest()).inspect(|index| index.enter(key, request));
        }
        if let Some(epoch) = entry.epoch {
            self.zones.enter((epoch, address), request);
        }
        self.enter_limits(entry.limits, address, request);
    }

    /// Undoes [`Self::enter`].
    pub(crate) fn leave(&self, entry: &Entry<'_>) {
        let address = entry.address;
        for anchor in entry.anchors {
            let key = (anchor.digest().short(), address);
            self.shard(anchor.digest()).inspect(|index| index.leave(key));
        }
        if let Some(epoch) = entry.epoch {
            self.zones.leave((epoch, address));
        }
        self.deadlines.leave((entry.limits.deadline, address));
        if let Some(bound) = entry.limits.bound {
            self.bounds.leave((bound, address));
        }
    }

    /// The requests that run on an anchor.
    pub(crate) fn on_anchor(&self, anchor: Digest) -> Vec<Arc<dyn Waiter>> {
        self.count_search();
        let key = anchor.short();
        self.shard(anchor).map_or_else(Vec::new, |index| index.within(key..=key))
    }

    /// The requests whose epoch of the zone lies below the current one.
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

    /// Takes out what ended by this second, and what is cut at this staleness; all that has a bound
    /// where nothing was proven. What is not cut then must [return](Self::await_again).
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

    /// Puts a request that [`Self::take_overdue`] took out back in.
    pub(crate) fn await_again(&self, request: &Arc<dyn Waiter>) {
        self.enter_limits(request.limits(), request.address(), &Arc::downgrade(request));
    }

    fn enter_limits(&self, limits: Limits, address: usize, request: &Weak<dyn Waiter>) {
        self.deadlines.enter((limits.deadline, address), request);
        if let Some(bound) = limits.bound {
            self.bounds.enter((bound, address), request);
        }
    }

    /// The next second in which one ends, and the smallest bound.
    pub(crate) fn next(&self) -> (Option<UnixSeconds>, Option<Bound>) {
        (self.deadlines.first(), self.bounds.first())
    }

    /// The requests on tokens issued up to this second, each at least once. It looks at every
    /// request: a horizon concerns nearly all of them.
    pub(crate) fn issued_up_to(&self, second: UnixSeconds) -> Vec<Arc<dyn Waiter>> {
        self.count_search();
        let issued = |request: &dyn Waiter| request.issued() <= second;
        self.anchors.iter().flat_map(|index| index.all(issued)).collect()
    }

    /// How many entries there are of anchors: at least one for each request.
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
    fn enter(&self, key: (K, usize), request: &Weak<dyn Waiter>) {
        self.lock().insert(key, Weak::clone(request));
    }

    fn leave(&self, key: (K, usize)) {
        let left = self.lock().remove(&key);
        drop(left);
    }

    fn within(&self, keys: RangeInclusive<K>) -> Vec<Arc<dyn Waiter>> {
        let keys = (*keys.start(), 0)..=(*keys.end(), usize::MAX);
        self.lock().range(keys).filter_map(|(_, request)| request.upgrade()).collect()
    }

    /// Takes out the first ones, while their keys are overdue.
    fn take(&self, overdue: impl Fn(K) -> bool) -> Vec<Arc<dyn Waiter>> {
        let (mut all, mut taken) = (self.lock(), Vec::new());
        while let Some(first) = all.first_entry().filter(|first| overdue(first.key().0)) {
            taken.extend(first.remove().upgrade());
        }
        taken
    }

    fn all(&self, condition: impl Fn(&dyn Waiter) -> bool) -> Vec<Arc<dyn Waiter>> {
        let all = self.lock();
        // None is dropped here: it would ask for the lock that is held.
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
