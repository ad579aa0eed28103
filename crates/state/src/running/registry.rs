//! The index from what can end to the requests that run on it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::handle::Request;
use crate::digest::Digest;

/// More shards than cores, so that requests that come and go seldom meet.
const SHARDS: usize = 64;

/// Every registered request, under each of its anchors, its zone's epoch, its end and the bound
/// of what may be unknown.
///
/// It holds requests weakly: whoever drops the last part of one takes it out. Locks are held for
/// one step of one map, and no request is cut or dropped under one.
#[derive(Debug)]
pub(crate) struct Registry {
    /// By short digest: a request that is looked at for another's anchor is not cut for it.
    anchors: Box<[Roll<u64>]>,
    zones: Roll<Epoch>,
    /// By the second in which they end.
    deadlines: Roll<u64>,
    /// By the staleness that cuts them.
    bounds: Roll<Duration>,
    /// How often requests were looked for.
    #[cfg(test)]
    pub(crate) searches: std::sync::atomic::AtomicUsize,
}

/// An epoch of a zone, among those that only ended delegations make stale or among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Epoch {
    zone: u64,
    ended_only: bool,
    epoch: u64,
}

/// Requests in the order of a key. One under the same key differs by its address, which it keeps
/// for as long as it is in here.
#[derive(Debug)]
struct Roll<K>(Mutex<BTreeMap<(K, usize), Weak<Request>>>);

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            anchors: (0..SHARDS).map(|_| Roll::default()).collect(),
            zones: Roll::default(),
            deadlines: Roll::default(),
            bounds: Roll::default(),
            #[cfg(test)]
            searches: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// `zone` is the digest of the request's zone.
    pub(crate) fn enter(&self, request: &Arc<Request>, zone: Option<Digest>) {
        for anchor in request.anchors() {
            self.shard(anchor.digest())
                .inspect(|roll| roll.enter(anchor.digest().short(), request));
        }
        if let Some(epoch) = Epoch::of(request, zone) {
            self.zones.enter(epoch, request);
        }
        self.await_again(request);
    }

    /// Undoes [`Self::enter`].
    pub(crate) fn leave(&self, request: &Request, zone: Option<Digest>) {
        for anchor in request.anchors() {
            self.shard(anchor.digest())
                .inspect(|roll| roll.leave(anchor.digest().short(), request));
        }
        if let Some(epoch) = Epoch::of(request, zone) {
            self.zones.leave(epoch, request);
        }
        self.deadlines.leave(request.deadline(), request);
        if let Some(bound) = request.watch.bound {
            self.bounds.leave(bound, request);
        }
    }

    /// The requests that run on an anchor.
    pub(crate) fn on_anchor(&self, anchor: Digest) -> Vec<Arc<Request>> {
        self.count_search();
        let key = anchor.short();
        self.shard(anchor).map_or_else(Vec::new, |roll| roll.within(key..=key))
    }

    /// The requests whose epoch of the zone lies below the current one.
    pub(crate) fn below_epoch(&self, zone: Digest, current: u64, ended: u64) -> Vec<Arc<Request>> {
        self.count_search();
        let below = |ended_only, current: u64| {
            let of = |epoch| Epoch { zone: zone.short(), ended_only, epoch };
            self.zones.within(of(0)..=of(current.saturating_sub(1)))
        };
        let mut found = below(false, current);
        found.append(&mut below(true, ended));
        found
    }

    /// Takes out what ended by this second, or is cut at a staleness below this one. What is not
    /// cut then must [return](Self::await_again).
    pub(crate) fn take_overdue(&self, second: u64, staleness: Duration) -> Vec<Arc<Request>> {
        let mut overdue = self.deadlines.take(|deadline| deadline <= second);
        overdue.append(&mut self.bounds.take(|bound| bound < staleness));
        overdue
    }

    pub(crate) fn await_again(&self, request: &Arc<Request>) {
        self.deadlines.enter(request.deadline(), request);
        if let Some(bound) = request.watch.bound {
            self.bounds.enter(bound, request);
        }
    }

    /// The next second in which one ends, and the smallest staleness that cuts one.
    pub(crate) fn next(&self) -> (Option<u64>, Option<Duration>) {
        (self.deadlines.first(), self.bounds.first())
    }

    /// The requests made up to this second, each at least once: what has reached nearly all of
    /// them is no matter for an index.
    pub(crate) fn made_up_to(&self, second: i64) -> Vec<Arc<Request>> {
        self.count_search();
        let made = |request: &Request| request.grounds().iat <= second;
        self.anchors.iter().flat_map(|roll| roll.all(made)).collect()
    }

    /// How many entries there are of anchors: at least one for each request.
    pub(crate) fn len(&self) -> usize {
        self.anchors.iter().map(|roll| roll.lock().len()).sum()
    }

    fn count_search(&self) {
        #[cfg(test)]
        self.searches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn shard(&self, anchor: Digest) -> Option<&Roll<u64>> {
        self.anchors.get(anchor.strong() as usize % SHARDS)
    }
}

impl Epoch {
    /// None of a request whose epoch is not checked, or says nothing.
    fn of(request: &Request, zone: Option<Digest>) -> Option<Self> {
        let checks = &request.watch.checks;
        let epoch = request.grounds().epoch;
        let zone = zone.filter(|_| checks.delegation_epoch && epoch > 0)?;
        Some(Self { zone: zone.short(), ended_only: checks.ended_delegations_only, epoch })
    }
}

impl<K> Default for Roll<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> Roll<K> {
    fn enter(&self, key: K, request: &Arc<Request>) {
        self.lock().insert((key, address(request)), Arc::downgrade(request));
    }

    fn leave(&self, key: K, request: &Request) {
        let left = self.lock().remove(&(key, address(request)));
        drop(left);
    }

    fn within(&self, keys: RangeInclusive<K>) -> Vec<Arc<Request>> {
        let keys = (*keys.start(), 0)..=(*keys.end(), usize::MAX);
        self.lock().range(keys).filter_map(|(_, request)| request.upgrade()).collect()
    }

    /// Takes out the first ones, as long as their keys are such.
    fn take(&self, overdue: impl Fn(K) -> bool) -> Vec<Arc<Request>> {
        let (mut all, mut taken) = (self.lock(), Vec::new());
        while let Some(first) = all.first_entry().filter(|first| overdue(first.key().0)) {
            taken.extend(first.remove().upgrade());
        }
        taken
    }

    fn all(&self, condition: impl Fn(&Request) -> bool) -> Vec<Arc<Request>> {
        let all = self.lock();
        // None is dropped here: it would ask for the lock that is held.
        let found: Vec<_> = all.values().filter_map(Weak::upgrade).collect();
        drop(all);
        found.into_iter().filter(|request| condition(request)).collect()
    }

    fn first(&self) -> Option<K> {
        self.lock().first_key_value().map(|((key, _), _)| *key)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(K, usize), Weak<Request>>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(request: &Request) -> usize {
    std::ptr::from_ref(request).addr()
}
