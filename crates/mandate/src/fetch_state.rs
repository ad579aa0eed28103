//! Which fetches of a zone's keys may begin, and how the last ones ended.

use std::time::Duration;

use caracal_revocation_state::Moment;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fetch::FetchError;
use crate::jwks::{ByKid, Fault};
use crate::limits::{AGED_WAIT, COOLDOWN, KEYS_GRACE, KEYS_TTL, SEARCH_EVERY};

/// How old keys may get, and how often an unknown one is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyTimes {
    /// Older keys are fetched again.
    pub(crate) ttl: Duration,
    /// While that fails, they are used for so much longer.
    pub(crate) grace: Duration,
    /// An unknown `kid` forces at most one fetch in this time.
    pub(crate) search_every: Duration,
}

impl Default for KeyTimes {
    fn default() -> Self {
        Self { ttl: KEYS_TTL, grace: KEYS_GRACE, search_every: SEARCH_EVERY }
    }
}

/// The origin of a token that names a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KidOrigin {
    /// Anybody, who can write what they like.
    Stranger,
    /// An authority record of which a valid mandate was seen.
    KnownRecord,
}

/// Why keys are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Missing,
    Invalidated,
    Aged,
    UnknownKid(Search),
}

/// A fetch for the sake of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) kid: Box<str>,
    pub(crate) origin: KidOrigin,
}

#[derive(Debug, Default)]
pub(crate) struct FetchState {
    running: Option<Fetch>,
    failed_at: Option<Moment>,
    /// When a key was last searched for, found or not. The next search is
    /// [`KeyTimes::search_every`] later, for strangers [`Self::strangers_wait`].
    searched_at: Option<Moment>,
    /// Twice as long after each search of theirs that found nothing.
    strangers_wait: Option<Duration>,
    /// The error that the log named last, while it lasts.
    logged_error: Option<FetchError>,
    /// The faulty key that the log named last.
    logged_fault: Option<Fault>,
}

/// A fetch under way.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    /// Closed when the fetch ends, be it that its runtime is dropped or that it panics.
    ended: watch::Receiver<()>,
    began: Moment,
    /// The start on the clock that [`AGED_WAIT`] is measured by.
    began_here: Instant,
}

impl Fetch {
    fn is_over(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    pub(crate) async fn wait(mut self) {
        // An error means that it is over. Nothing else is ever sent.
        while self.ended.changed().await.is_ok() {}
    }

    /// Waits for [`AGED_WAIT`] at most. Returns `true` if the fetch is over then.
    pub(crate) async fn wait_briefly(self) -> bool {
        // Timers need a runtime.
        if tokio::runtime::Handle::try_current().is_err() {
            return self.is_over();
        }
        tokio::time::timeout_at(self.began_here + AGED_WAIT, self.wait()).await.is_ok()
    }
}

impl FetchState {
    /// Returns the fetch under way, if there is one.
    pub(crate) fn running(&mut self) -> Option<Fetch> {
        match self.running.take() {
            Some(fetch) if !fetch.is_over() => {
                self.running = Some(fetch.clone());
                Some(fetch)
            }
            // It ended without a result, by a panic or with its runtime: a failed attempt.
            Some(fetch) => {
                self.failed_at = Some(fetch.began);
                None
            }
            None => None,
        }
    }

    /// Returns `true` if a fetch may begin now. A search uses up its turn by the attempt: an STS
    /// that is away is not asked more often than another.
    pub(crate) fn may_begin(
        &mut self,
        search: Option<&Search>,
        times: &KeyTimes,
        now: Moment,
    ) -> bool {
        let within = |moment: Option<Moment>, time| {
            moment.is_some_and(|moment| now.elapsed_since(moment) < time)
        };
        let pause = search.map_or(Duration::ZERO, |search| match search.origin {
            KidOrigin::KnownRecord => times.search_every,
            KidOrigin::Stranger => self.strangers_wait.unwrap_or(times.search_every),
        });
        if within(self.failed_at, COOLDOWN) || within(self.searched_at, pause) {
            return false;
        }
        if search.is_some() {
            self.searched_at = Some(now);
        }
        true
    }

    /// Notes a fetch that begins. It is over when the sender is dropped.
    pub(crate) fn begin(&mut self, now: Moment) -> (Fetch, watch::Sender<()>) {
        let (ending, ended) = watch::channel(());
        let fetch = Fetch { ended, began: now, began_here: Instant::now() };
        self.running = Some(fetch.clone());
        (fetch, ending)
    }

    /// Notes that the fetch under way has ended.
    pub(crate) fn end(&mut self) {
        self.running = None;
    }

    /// Notes the keys that a fetch brought. Returns `true` if an error was logged before.
    pub(crate) fn succeed(
        &mut self,
        search: Option<&Search>,
        keys: &ByKid,
        times: &KeyTimes,
    ) -> bool {
        if let Some(Search { kid, origin: KidOrigin::Stranger }) = search {
            let waited = self.strangers_wait.unwrap_or(times.search_every);
            let longer = (waited * 2).min(times.ttl.max(times.search_every));
            self.strangers_wait = (!keys.contains_key(kid)).then_some(longer);
        }
        self.failed_at = None;
        self.logged_error.take().is_some()
    }

    /// Notes a failed attempt. Returns `true` if the error must be logged.
    pub(crate) fn fail(&mut self, error: &FetchError, now: Moment) -> bool {
        self.failed_at = Some(now);
        let is_new = self.logged_error.as_ref() != Some(error);
        if is_new {
            self.logged_error = Some(error.clone());
        }
        is_new
    }

    /// Notes the faulty key of a document, if it has one. Returns it if it must be logged.
    pub(crate) fn note_fault(&mut self, fault: Option<Fault>) -> Option<&Fault> {
        let is_new = fault != self.logged_fault;
        self.logged_fault = fault;
        self.logged_fault.as_ref().filter(|_| is_new)
    }

    /// Returns when the last attempt failed, if it did.
    pub(crate) const fn failed_at(&self) -> Option<Moment> {
        self.failed_at
    }

    #[cfg(test)]
    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }
}
