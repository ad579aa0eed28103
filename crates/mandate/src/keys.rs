//! The current keys of a zone. Decides when to fetch them, with at most one fetch at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use caracal_revocation_state::{Moment, Revocations};

use crate::errors::{InvalidMandate, KeysUnavailable, VerifyError};
use crate::fetch::{FetchError, Fetcher};
use crate::fetch_state::{Cause, Fetch, FetchState, KeyTimes, KidOrigin, Search};
use crate::jwks::{ByKid, PublicKey, Published};
use crate::limits::MAX_REMOVED_KIDS;

/// The version of the keys with which a mandate was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The zone's key generation, read before the keys were requested.
    generation: u64,
    /// A number that increases when a published key is replaced or removed.
    removals: u64,
}

#[derive(Debug)]
pub(crate) struct Keys {
    zone: Box<str>,
    revocations: Revocations,
    fetcher: Fetcher,
    times: KeyTimes,
    current: ArcSwapOption<KeySet>,
    /// See [`Stamp::removals`]. Kept outside the set, so that a cache lookup reads only one number.
    removals: AtomicU64,
    fetch_state: Mutex<FetchState>,
}

#[derive(Debug)]
struct KeySet {
    keys: ByKid,
    /// The `kid`s of earlier documents that this one does not have, the newest last.
    removed: Vec<Box<str>>,
    stamp: Stamp,
    as_of: Moment,
}

impl Keys {
    pub(crate) fn new(
        zone: &str,
        revocations: Revocations,
        fetcher: Fetcher,
        times: KeyTimes,
    ) -> Self {
        Self {
            zone: zone.into(),
            revocations,
            fetcher,
            times,
            current: ArcSwapOption::empty(),
            removals: AtomicU64::new(0),
            fetch_state: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.revocations.now()
    }

    pub(crate) fn now_coarse(&self) -> Moment {
        self.revocations.now_coarse()
    }

    /// Returns the stamp that a cached mandate must have to be used now.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { generation: self.generation(), removals: self.removals.load(Ordering::Acquire) }
    }

    fn generation(&self) -> u64 {
        // rule: keys-follow-generation
        self.revocations.zone(&self.zone).keys_generation
    }

    /// Returns the key with this `kid`. Fetches the keys if necessary.
    pub(crate) async fn key(
        self: &Arc<Self>,
        kid: &str,
        origin: KidOrigin,
    ) -> Result<(PublicKey, Stamp), VerifyError> {
        let requested = self.now();
        // A fetch that already ran may have begun too early to find the key. A later one has not.
        for _ in 0..3 {
            let cause = match self.lookup(kid, origin) {
                Ok(found) => return Ok(found),
                Err(cause) => cause,
            };
            let is_aged = cause == Cause::Aged;
            let Some(fetch) = self.fetch_for(cause) else { break };
            if !is_aged || self.held(kid).is_none() {
                fetch.wait().await;
            } else if self.last_fetch_failed() {
                break;
            } else {
                // The held keys are usable: do not wait for the deadline of an STS that hangs.
                fetch.wait_briefly().await;
            }
        }
        self.resolve_held(kid, origin, requested)
    }

    /// Returns the key with this `kid`, if it is held and still usable, grace included.
    pub(crate) fn held(&self, kid: &str) -> Option<(PublicKey, Stamp)> {
        let set = self.held_set()?;
        set.keys.get(kid).map(|key| (key.clone(), set.stamp))
    }

    /// Returns the held keys, if they are still usable, grace included.
    fn held_set(&self) -> Option<Arc<KeySet>> {
        let set = self.current.load_full()?;
        let age = self.now().elapsed_since(set.as_of);
        let is_in_grace = age < self.times.ttl.saturating_add(self.times.grace);
        (is_in_grace && set.stamp.generation == self.generation()).then_some(set)
    }

    /// Returns `true` if the last attempt to fetch keys failed.
    fn last_fetch_failed(&self) -> bool {
        self.fetch_state().failed_at().is_some()
    }

    /// Ensures that there are usable keys. Fetches them if necessary.
    pub(crate) async fn warm_up(self: &Arc<Self>) -> Result<(), KeysUnavailable> {
        for _ in 0..2 {
            let Err(cause) = self.usable() else { return Ok(()) };
            let Some(fetch) = self.fetch_for(cause) else { break };
            fetch.wait().await;
        }
        self.usable().map(|_| ()).map_err(|_| KeysUnavailable)
    }

    /// Returns the keys, or the reason to fetch them again.
    fn usable(self: &Arc<Self>) -> Result<Arc<KeySet>, Cause> {
        let set = self.current.load_full().ok_or(Cause::Missing)?;
        if set.stamp.generation != self.generation() {
            return Err(Cause::Invalidated);
        }
        let age = self.now().elapsed_since(set.as_of);
        if age >= self.times.ttl {
            return Err(Cause::Aged);
        }
        if age >= self.times.ttl * 4 / 5 {
            // A fetch ahead of time: no request waits for it.
            let _ = self.fetch_for(Cause::Aged);
        }
        Ok(set)
    }

    fn lookup(self: &Arc<Self>, kid: &str, origin: KidOrigin) -> Result<(PublicKey, Stamp), Cause> {
        let set = self.usable()?;
        let found = set.keys.get(kid).map(|key| (key.clone(), set.stamp));
        found.ok_or_else(|| Cause::UnknownKid(Search { kid: kid.into(), origin }))
    }

    /// Returns the key from the held keys, grace included. Called if no fetch was allowed, or none
    /// has helped. The error is `KeysUnavailable` if the key may exist but cannot be fetched now.
    fn resolve_held(
        &self,
        kid: &str,
        origin: KidOrigin,
        requested: Moment,
    ) -> Result<(PublicKey, Stamp), VerifyError> {
        let set = self.held_set().ok_or(KeysUnavailable)?;
        if let Some(key) = set.keys.get(kid) {
            return Ok((key.clone(), set.stamp));
        }
        if set.removed.iter().any(|removed| &**removed == kid) {
            return Err(InvalidMandate::UnknownKey.into());
        }
        // It may be a new key that an outage hides, or that no search has looked for yet.
        let failed = self.fetch_state().failed_at();
        let is_hidden = failed.is_some_and(|failed| failed.monotonic >= set.as_of.monotonic);
        let is_pending =
            origin == KidOrigin::KnownRecord && set.as_of.monotonic < requested.monotonic;
        if is_hidden || is_pending {
            return Err(KeysUnavailable.into());
        }
        Err(InvalidMandate::UnknownKey.into())
    }

    /// Joins the running fetch, or begins one if it is allowed.
    fn fetch_for(self: &Arc<Self>, cause: Cause) -> Option<Fetch> {
        let now = self.now();
        let mut fetches = self.fetch_state();
        if let Some(fetch) = fetches.running() {
            return Some(fetch);
        }
        let search = match cause {
            Cause::UnknownKid(search) => Some(search),
            Cause::Missing | Cause::Invalidated | Cause::Aged => None,
        };
        if !fetches.may_begin(search.as_ref(), &self.times, now) {
            return None;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.fail(&mut fetches, &FetchError::NoRuntime);
            return None;
        };
        let (fetch, ending) = fetches.begin(now);
        let keys = Arc::clone(self);
        // Read before the request is sent: keys that are invalidated during the fetch stay invalid.
        let generation = self.generation();
        // A separate task: a client that disconnects must not cancel the fetch of other requests.
        runtime.spawn(async move {
            let fetched = keys.fetcher.fetch().await;
            let mut fetches = keys.fetch_state();
            fetches.end();
            match fetched {
                Ok(published) => keys.publish(&mut fetches, published, search, now, generation),
                Err(error) => keys.fail(&mut fetches, &error),
            }
            drop(fetches);
            drop(ending);
        });
        Some(fetch)
    }

    fn publish(
        &self,
        fetches: &mut FetchState,
        Published { keys, fault }: Published,
        search: Option<Search>,
        sent: Moment,
        generation: u64,
    ) {
        let was_failing = fetches.succeed(search.as_ref(), &keys, &self.times);
        self.adopt(keys, sent, generation);
        if was_failing {
            tracing::info!(zone = ?self.zone, "fetching the zone's keys works again");
        }
        if let Some(fault) = fetches.note_fault(fault) {
            tracing::warn!(
                zone = ?self.zone, %fault,
                "a published key cannot be used; tokens signed with it do not verify"
            );
        }
    }

    fn fail(&self, fetches: &mut FetchState, error: &FetchError) {
        if fetches.fail(error, self.now()) {
            tracing::warn!(
                zone = ?self.zone, %error,
                "the zone's keys cannot be fetched; held keys stay in use within their grace"
            );
        }
    }

    fn adopt(&self, keys: ByKid, as_of: Moment, generation: u64) {
        let before = self.current.load_full();
        let lost = before
            .as_ref()
            .is_some_and(|before| before.keys.iter().any(|(kid, key)| keys.get(kid) != Some(key)));
        let removed = before.map(|before| removed(&before, &keys)).unwrap_or_default();
        let removals = self.removals.load(Ordering::Acquire) + u64::from(lost);
        let stamp = Stamp { generation, removals };
        self.current.store(Some(Arc::new(KeySet { keys, removed, stamp, as_of })));
        // After the keys: a mandate verified with a removed key must not get the new stamp.
        self.removals.store(removals, Ordering::Release);
    }

    #[cfg(test)]
    pub(crate) fn is_fetching(&self) -> bool {
        self.fetch_state().is_running()
    }

    fn fetch_state(&self) -> MutexGuard<'_, FetchState> {
        self.fetch_state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the `kid`s that are no longer published, at most [`MAX_REMOVED_KIDS`].
fn removed(before: &KeySet, now: &ByKid) -> Vec<Box<str>> {
    let known = before.removed.iter().chain(before.keys.keys());
    let mut removed: Vec<_> = known.filter(|kid| !now.contains_key(*kid)).cloned().collect();
    removed.drain(..removed.len().saturating_sub(MAX_REMOVED_KIDS));
    removed
}
