//! A zone's keys, kept current: one fetch at a time, as few as will do, and never none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use caracal_revocation_state::{Moment, Revocations};

use crate::errors::{InvalidMandate, KeysUnavailable, VerifyError};
use crate::fetch::{FetchError, Fetcher};
use crate::fetch_state::{Cause, Fetch, FetchState, KeyTimes, KidOrigin, Search};
use crate::jwks::{ByKid, PublicKey, Published};
use crate::limits::MAX_REMOVED_KIDS;

/// The keys under which something was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The zone's key generation, noted before the keys were asked for.
    generation: u64,
    /// Moves whenever a published key is no longer published.
    removals: u64,
}

#[derive(Debug)]
pub(crate) struct Keys {
    zone: Box<str>,
    revocations: Revocations,
    fetcher: Fetcher,
    times: KeyTimes,
    current: ArcSwapOption<KeySet>,
    /// See [`Stamp::removals`]; outside the set, so that looking up a mandate reads one number.
    removals: AtomicU64,
    fetch_state: Mutex<FetchState>,
}

#[derive(Debug)]
struct KeySet {
    keys: ByKid,
    /// Names that documents before this one held and this one does not, the newest last.
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

    /// Returns the stamp that a cached mandate must have to count now.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { generation: self.generation(), removals: self.removals.load(Ordering::Acquire) }
    }

    fn generation(&self) -> u64 {
        self.revocations.zone(&self.zone).keys_generation
    }

    /// The key of this name, fetching as it must.
    pub(crate) async fn key(
        self: &Arc<Self>,
        kid: &str,
        origin: KidOrigin,
    ) -> Result<(PublicKey, Stamp), VerifyError> {
        let asked = self.now();
        // A fetch that was joined may have begun too early to be of use; one more is not.
        for _ in 0..3 {
            let cause = match self.look(kid, origin) {
                Ok(found) => return Ok(found),
                Err(cause) => cause,
            };
            let is_aged = cause == Cause::Aged;
            let Some(fetch) = self.fetch_for(cause) else { break };
            if !is_aged || self.held(kid).is_none() {
                fetch.wait().await;
            } else if self.is_troubled() || !fetch.wait_briefly().await {
                // Good keys are in hand: nobody waits out the deadline of an STS that hangs.
                break;
            }
        }
        self.settle(kid, origin, asked)
    }

    /// The key of this name, if it is there and may still be used, grace included.
    pub(crate) fn held(&self, kid: &str) -> Option<(PublicKey, Stamp)> {
        let set = self.current.load_full()?;
        let age = self.now().elapsed_since(set.as_of);
        let in_grace = age < self.times.ttl.saturating_add(self.times.grace);
        let is_valid = in_grace && set.stamp.generation == self.generation();
        set.keys.get(kid).filter(|_| is_valid).map(|key| (key.clone(), set.stamp))
    }

    /// Returns `true` if the last attempt to fetch keys failed.
    fn is_troubled(&self) -> bool {
        self.fetch_state().failed_at().is_some()
    }

    /// Has keys that may be used, or says that there are none.
    pub(crate) async fn warm_up(self: &Arc<Self>) -> Result<(), KeysUnavailable> {
        for _ in 0..2 {
            let Err(cause) = self.usable() else { return Ok(()) };
            let Some(fetch) = self.fetch_for(cause) else { break };
            fetch.wait().await;
        }
        self.usable().map(|_| ()).map_err(|_| KeysUnavailable)
    }

    /// The keys, if they need not be fetched again.
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
            // Nobody waits for this one.
            let _ = self.fetch_for(Cause::Aged);
        }
        Ok(set)
    }

    fn look(self: &Arc<Self>, kid: &str, origin: KidOrigin) -> Result<(PublicKey, Stamp), Cause> {
        let set = self.usable()?;
        let found = set.keys.get(kid).map(|key| (key.clone(), set.stamp));
        found.ok_or_else(|| Cause::UnknownKid(Search { kid: kid.into(), origin }))
    }

    /// When no fetch is allowed or has helped: old keys within their grace, or the reason.
    fn settle(
        &self,
        kid: &str,
        origin: KidOrigin,
        asked: Moment,
    ) -> Result<(PublicKey, Stamp), VerifyError> {
        let set = self.current.load_full().ok_or(KeysUnavailable)?;
        let age = self.now().elapsed_since(set.as_of);
        let in_grace = age < self.times.ttl.saturating_add(self.times.grace);
        if set.stamp.generation != self.generation() || !in_grace {
            return Err(KeysUnavailable.into());
        }
        if let Some(key) = set.keys.get(kid) {
            return Ok((key.clone(), set.stamp));
        }
        if set.removed.iter().any(|removed| &**removed == kid) {
            return Err(InvalidMandate::UnknownKey.into());
        }
        // Perhaps it is a new key: hidden by an outage, or not searched for yet.
        let failed = self.fetch_state().failed_at();
        let is_hidden = failed.is_some_and(|failed| failed.monotonic >= set.as_of.monotonic);
        let is_pending = origin == KidOrigin::KnownRecord && set.as_of.monotonic < asked.monotonic;
        if is_hidden || is_pending {
            return Err(KeysUnavailable.into());
        }
        Err(InvalidMandate::UnknownKey.into())
    }

    /// Joins the fetch under way, or begins one if it may.
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
        // Noted before the request leaves: what is invalidated while it travels stays invalid.
        let generation = self.generation();
        // A task of its own: a client that goes away must not take everybody's fetch with it.
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
            tracing::info!(zone = ?self.zone, "the zone's keys are fetched again");
        }
        if let Some(fault) = fetches.note_fault(fault) {
            tracing::warn!(
                zone = ?self.zone, %fault,
                "a published key cannot be used; tokens signed with it are refused"
            );
        }
    }

    fn fail(&self, fetches: &mut FetchState, error: &FetchError) {
        if fetches.fail(error, self.now()) {
            tracing::warn!(zone = ?self.zone, %error, "the zone's keys were not fetched");
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
        // After the keys: a mandate verified with a lost one is not stamped as if it were not.
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

/// Returns the names that were published before and are no longer, [`MAX_REMOVED_KIDS`] at most.
fn removed(before: &KeySet, now: &ByKid) -> Vec<Box<str>> {
    let known = before.removed.iter().chain(before.keys.keys());
    let mut removed: Vec<_> = known.filter(|kid| !now.contains_key(*kid)).cloned().collect();
    removed.drain(..removed.len().saturating_sub(MAX_REMOVED_KIDS));
    removed
}
