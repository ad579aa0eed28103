//! A zone's keys, kept current: one fetch at a time, as few as will do, and never none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use caracal_revocation_state::{Moment, Revocations};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fetch::{FetchError, Fetcher};
use crate::jwks::{ByKid, Fault, PublicKey, Published};
use crate::memory::Stamp;
use crate::{Invalid, KeysUnavailable, VerifyError};

/// After a failed fetch the next one waits so long.
const COOLDOWN: Duration = Duration::from_secs(1);
/// How long after the start of a fetch a request waits for it, if it could use aged keys.
const AGED_WAIT: Duration = Duration::from_secs(1);
/// How many keys that are published no more are remembered by name.
const MAX_LEFT: usize = 32;

/// How old keys may get, and how often an unknown one is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyTimes {
    /// Older keys are fetched again.
    pub(crate) ttl: Duration,
    /// While that fails, they are used for so much longer.
    pub(crate) grace: Duration,
    /// An unknown `kid` forces at most one fetch in this time.
    pub(crate) forced_every: Duration,
}

/// Whose token names a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Anybody's, who can write what they like.
    Stranger,
    /// That of an authority record of which a good mandate was seen.
    Known,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Missing,
    Invalidated,
    Aged,
    UnknownKid(Forced),
}

/// A fetch for the sake of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Forced {
    kid: Box<str>,
    asker: Asker,
}

#[derive(Debug)]
pub(crate) struct Keys {
    zone: Box<str>,
    revocations: Revocations,
    fetcher: Fetcher,
    times: KeyTimes,
    current: ArcSwapOption<KeySet>,
    /// See [`Stamp::removals`]; outside the set, so that recalling a mandate reads one number.
    removals: AtomicU64,
    flights: Mutex<Flights>,
}

#[derive(Debug)]
struct KeySet {
    keys: ByKid,
    /// Names that documents before this one held and this one does not, the newest last.
    left: Vec<Box<str>>,
    stamp: Stamp,
    as_of: Moment,
}

#[derive(Debug, Default)]
struct Flights {
    running: Option<Flight>,
    failed: Option<Moment>,
    /// When a key was last looked for, found or not: the next time is
    /// [`KeyTimes::forced_every`] later, for strangers [`Self::strangers_wait`].
    forced: Option<Moment>,
    /// Twice as long after each search of theirs that found nothing.
    strangers_wait: Option<Duration>,
    told: Option<FetchError>,
    /// The faulty key that the log named last.
    fault: Option<Fault>,
}

/// A fetch under way.
#[derive(Clone, Debug)]
struct Flight {
    /// Closed when the fetch ends, be it that its runtime is dropped or that it panics.
    landed: watch::Receiver<()>,
    began: Moment,
    /// The same on the clock that [`AGED_WAIT`] is waited by.
    began_here: Instant,
}

impl Flight {
    fn is_over(&self) -> bool {
        self.landed.has_changed().is_err()
    }

    async fn wait(mut self) {
        // An error says that it is over, and that is all there is to hear.
        while self.landed.changed().await.is_ok() {}
    }

    /// Waits for a moment only; whether it is over then.
    async fn wait_briefly(self) -> bool {
        // Timers need a runtime.
        if tokio::runtime::Handle::try_current().is_err() {
            return self.is_over();
        }
        tokio::time::timeout_at(self.began_here + AGED_WAIT, self.wait()).await.is_ok()
    }
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
            flights: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.revocations.now()
    }

    pub(crate) fn glance(&self) -> Moment {
        self.revocations.glance()
    }

    /// What a mandate that is recalled now must have been verified under.
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
        asker: Asker,
    ) -> Result<(PublicKey, Stamp), VerifyError> {
        let asked = self.now();
        // A fetch that was joined may have begun too early to be of use; one more is not.
        for _ in 0..3 {
            let cause = match self.look(kid, asker) {
                Ok(found) => return Ok(found),
                Err(cause) => cause,
            };
            let is_aged = cause == Cause::Aged;
            let Some(flight) = self.fetch_for(cause) else { break };
            if !is_aged || self.held(kid).is_none() {
                flight.wait().await;
            } else if self.is_troubled() || !flight.wait_briefly().await {
                // Good keys are in hand: nobody waits out the deadline of an STS that hangs.
                break;
            }
        }
        self.settle(kid, asker, asked)
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
        self.flights().failed.is_some()
    }

    /// Has keys that may be used, or says that there are none.
    pub(crate) async fn warm_up(self: &Arc<Self>) -> Result<(), KeysUnavailable> {
        for _ in 0..2 {
            let Err(cause) = self.usable() else { return Ok(()) };
            let Some(flight) = self.fetch_for(cause) else { break };
            flight.wait().await;
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

    fn look(self: &Arc<Self>, kid: &str, asker: Asker) -> Result<(PublicKey, Stamp), Cause> {
        let set = self.usable()?;
        let found = set.keys.get(kid).map(|key| (key.clone(), set.stamp));
        found.ok_or_else(|| Cause::UnknownKid(Forced { kid: kid.into(), asker }))
    }

    /// When no fetch is allowed or has helped: old keys within their grace, or the reason.
    fn settle(
        &self,
        kid: &str,
        asker: Asker,
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
        if set.left.iter().any(|left| &**left == kid) {
            return Err(Invalid::UnknownKey.into());
        }
        // Perhaps it is a new key: hidden by an outage, or not looked for yet.
        let failed = self.flights().failed;
        let is_hidden = failed.is_some_and(|failed| failed.monotonic >= set.as_of.monotonic);
        let is_pending = asker == Asker::Known && set.as_of.monotonic < asked.monotonic;
        if is_hidden || is_pending {
            return Err(KeysUnavailable.into());
        }
        Err(Invalid::UnknownKey.into())
    }

    /// Joins the fetch under way, or begins one if it may.
    fn fetch_for(self: &Arc<Self>, cause: Cause) -> Option<Flight> {
        let now = self.now();
        let mut flights = self.flights();
        match flights.running.take() {
            Some(flight) if !flight.is_over() => {
                flights.running = Some(flight.clone());
                return Some(flight);
            }
            // It ended without a word, by a panic or with its runtime: an attempt that failed.
            Some(flight) => flights.failed = Some(flight.began),
            None => {}
        }
        let within = |moment: Option<Moment>, time| {
            moment.is_some_and(|moment| now.elapsed_since(moment) < time)
        };
        let forced = match cause {
            Cause::UnknownKid(forced) => Some(forced),
            Cause::Missing | Cause::Invalidated | Cause::Aged => None,
        };
        let pause = forced.as_ref().map_or(Duration::ZERO, |forced| match forced.asker {
            Asker::Known => self.times.forced_every,
            Asker::Stranger => flights.strangers_wait.unwrap_or(self.times.forced_every),
        });
        if within(flights.failed, COOLDOWN) || within(flights.forced, pause) {
            return None;
        }
        if forced.is_some() {
            // Used up by the attempt: an STS that is away is not asked more often than another.
            flights.forced = Some(now);
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.land(&mut flights, Err(FetchError::NoRuntime), now, forced, 0);
            return None;
        };
        let (landing, landed) = watch::channel(());
        let flight = Flight { landed, began: now, began_here: Instant::now() };
        flights.running = Some(flight.clone());
        let keys = Arc::clone(self);
        // Noted before the request leaves: what is invalidated while it travels stays invalid.
        let generation = self.generation();
        // A task of its own: a client that goes away must not take everybody's fetch with it.
        runtime.spawn(async move {
            let fetched = keys.fetcher.fetch().await;
            let mut flights = keys.flights();
            flights.running = None;
            keys.land(&mut flights, fetched, now, forced, generation);
            drop(flights);
            drop(landing);
        });
        Some(flight)
    }

    fn land(
        &self,
        flights: &mut Flights,
        fetched: Result<Published, FetchError>,
        sent: Moment,
        forced: Option<Forced>,
        generation: u64,
    ) {
        match fetched {
            Ok(Published { keys, fault }) => {
                if let Some(Forced { kid, asker: Asker::Stranger }) = forced {
                    let waited = flights.strangers_wait.unwrap_or(self.times.forced_every);
                    let longer = (waited * 2).min(self.times.ttl.max(self.times.forced_every));
                    flights.strangers_wait = (!keys.contains_key(&kid)).then_some(longer);
                }
                self.adopt(keys, sent, generation);
                flights.failed = None;
                if flights.told.take().is_some() {
                    tracing::info!(zone = ?self.zone, "the zone's keys are fetched again");
                }
                if let Some(fault) = fault.as_ref().filter(|_| fault != flights.fault) {
                    tracing::warn!(
                        zone = ?self.zone, %fault,
                        "a published key cannot be used; tokens signed with it are refused"
                    );
                }
                flights.fault = fault;
            }
            Err(error) => {
                flights.failed = Some(self.now());
                if flights.told.as_ref() != Some(&error) {
                    tracing::warn!(zone = ?self.zone, %error, "the zone's keys were not fetched");
                    flights.told = Some(error);
                }
            }
        }
    }

    fn adopt(&self, keys: ByKid, as_of: Moment, generation: u64) {
        let before = self.current.load_full();
        let lost = before
            .as_ref()
            .is_some_and(|before| before.keys.iter().any(|(kid, key)| keys.get(kid) != Some(key)));
        let left = before.map(|before| left(&before, &keys)).unwrap_or_default();
        let removals = self.removals.load(Ordering::Acquire) + u64::from(lost);
        let stamp = Stamp { generation, removals };
        self.current.store(Some(Arc::new(KeySet { keys, left, stamp, as_of })));
        // After the keys: a mandate verified with a lost one is not stamped as if it were not.
        self.removals.store(removals, Ordering::Release);
    }

    #[cfg(test)]
    pub(crate) fn is_fetching(&self) -> bool {
        self.flights().running.is_some()
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names that were published before, up to [`MAX_LEFT`], and are no longer.
fn left(before: &KeySet, now: &ByKid) -> Vec<Box<str>> {
    let gone = before.left.iter().chain(before.keys.keys());
    let mut left: Vec<_> = gone.filter(|kid| !now.contains_key(*kid)).cloned().collect();
    left.drain(..left.len().saturating_sub(MAX_LEFT));
    left
}
