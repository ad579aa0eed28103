//! A zone's keys, kept current: one fetch at a time, as few as will do, and never none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use caracal_revocation_state::{Moment, Revocations};
use tokio::sync::watch;

use crate::fetch::{FetchError, Fetcher};
use crate::jwks::{ByKid, PublicKey};
use crate::memory::Stamp;
use crate::{Invalid, KeysUnavailable, VerifyError};

/// After a failed fetch the next one waits so long.
const COOLDOWN: Duration = Duration::from_secs(1);

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
    stamp: Stamp,
    as_of: Moment,
}

#[derive(Debug, Default)]
struct Flights {
    /// Ends when the fetch under way does.
    running: Option<watch::Receiver<()>>,
    failed: Option<Moment>,
    /// When a key was last looked for, found or not: the next time is
    /// [`KeyTimes::forced_every`] later, for strangers [`Self::strangers_wait`].
    forced: Option<Moment>,
    /// Twice as long after each search of theirs that found nothing.
    strangers_wait: Option<Duration>,
    told: Option<FetchError>,
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
            let Some(mut landed) = self.fetch_for(cause) else { break };
            // An error only says that the flight ended before this began to wait.
            let _ = landed.changed().await;
        }
        self.settle(kid, asker, asked)
    }

    /// Has keys that may be used, or says that there are none.
    pub(crate) async fn warm_up(self: &Arc<Self>) -> Result<(), KeysUnavailable> {
        for _ in 0..2 {
            let Err(cause) = self.usable() else { return Ok(()) };
            let Some(mut landed) = self.fetch_for(cause) else { break };
            let _ = landed.changed().await;
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
    fn fetch_for(self: &Arc<Self>, cause: Cause) -> Option<watch::Receiver<()>> {
        let now = self.now();
        let mut flights = self.flights();
        if let Some(running) = &flights.running {
            return Some(running.clone());
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
        flights.running = Some(landed.clone());
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
        Some(landed)
    }

    fn land(
        &self,
        flights: &mut Flights,
        fetched: Result<ByKid, FetchError>,
        sent: Moment,
        forced: Option<Forced>,
        generation: u64,
    ) {
        match fetched {
            Ok(keys) => {
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
            .is_some_and(|before| before.keys.iter().any(|(kid, key)| keys.get(kid) != Some(key)));
        let removals = self.removals.load(Ordering::Acquire) + u64::from(lost);
        let stamp = Stamp { generation, removals };
        self.current.store(Some(Arc::new(KeySet { keys, stamp, as_of })));
        // After the keys: a mandate verified with a lost one is not stamped as if it were not.
        self.removals.store(removals, Ordering::Release);
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
