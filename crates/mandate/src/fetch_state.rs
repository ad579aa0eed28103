//! The state of the fetches of a zone's keys: the running one, the last results, and the limits.

use std::time::Duration;

use caracal_revocation_state::Moment;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fetch::FetchError;
use crate::jwks::{ByKid, Fault};
use crate::limits::{AGED_WAIT, COOLDOWN, KEYS_GRACE, KEYS_TTL, SEARCH_EVERY};

/// The times that limit fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyTimes {
    /// The age at which keys are fetched again.
    pub(crate) ttl: Duration,
    /// The time for which older keys stay in use while the fetch fails.
    pub(crate) grace: Duration,
    /// The shortest time between two fetches that unknown `kid`s force.
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
    /// An unknown client, which may have forged the token.
    UnknownClient,
    /// An authority record of which a mandate has been verified.
    KnownRecord,
}

/// The reason for a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Missing,
    Invalidated,
    Aged,
    UnknownKid(Search),
}

/// A fetch that looks for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) kid: Box<str>,
    pub(crate) origin: KidOrigin,
}

#[derive(Debug, Default)]
pub(crate) struct FetchState {
    running: Option<Fetch>,
    failed_at: Option<Moment>,
    /// The start of the last search. The next search for a known record may begin
    /// [`KeyTimes::search_every`] later, for unknown clients [`Self::unknown_client_wait`] later.
    searched_at: Option<Moment>,
    /// The pause between searches for unknown clients. It doubles after each one that finds
    /// nothing.
    unknown_client_wait: Option<Duration>,
    /// The last logged error; `None` once a fetch has succeeded.
    logged_error: Option<FetchError>,
    /// The last logged faulty key.
    logged_fault: Option<Fault>,
}

/// A running fetch.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    /// A channel that closes when the fetch ends, also if it panics or its runtime is dropped.
    ended: watch::Receiver<()>,
    began: Moment,
    /// The start by tokio's clock, which measures [`AGED_WAIT`].
    began_here: Instant,
}

impl Fetch {
    fn is_over(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    pub(crate) async fn wait(mut self) {
        // An error means that the fetch is over. No value is ever sent.
        while self.ended.changed().await.is_ok() {}
    }

    /// Waits for the end of the fetch, but at most until [`AGED_WAIT`] after its start.
    pub(crate) async fn wait_briefly(self) {
        // Timers need a runtime.
        if tokio::runtime::Handle::try_current().is_ok() {
            let _ = tokio::time::timeout_at(self.began_here + AGED_WAIT, self.wait()).await;
        }
    }
}

impl FetchState {
    /// Returns the running fetch, if there is one.
    pub(crate) fn running(&mut self) -> Option<Fetch> {
        match self.running.take() {
            Some(fetch) if !fetch.is_over() => {
                self.running = Some(fetch.clone());
                Some(fetch)
            }
            // The fetch panicked, or its runtime was dropped: a failed attempt.
            Some(fetch) => {
                self.failed_at = Some(fetch.began);
                None
            }
            None => None,
        }
    }

    /// Returns `true` if a fetch may begin now. A search counts from its start, also if it fails:
    /// an STS that is unavailable gets no more searches than another.
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
            KidOrigin::UnknownClient => self.unknown_client_wait.unwrap_or(times.search_every),
        });
        if within(self.failed_at, COOLDOWN) || within(self.searched_at, pause) {
            return false;
        }
        if search.is_some() {
            self.searched_at = Some(now);
        }
        true
    }

    /// Records the start of a fetch. The fetch is over when the sender is dropped.
    pub(crate) fn begin(&mut self, now: Moment) -> (Fetch, watch::Sender<()>) {
        let (ending, ended) = watch::channel(());
        let fetch = Fetch { ended, began: now, began_here: Instant::now() };
        self.running = Some(fetch.clone());
        (fetch, ending)
    }

    /// Records the end of the running fetch.
    pub(crate) fn end(&mut self) {
        self.running = None;
    }

    /// Records a successful fetch. Returns `true` if the failure before it was logged.
    pub(crate) fn succeed(
        &mut self,
        search: Option<&Search>,
        keys: &ByKid,
        times: &KeyTimes,
    ) -> bool {
        if let Some(Search { kid, origin: KidOrigin::UnknownClient }) = search {
            let waited = self.unknown_client_wait.unwrap_or(times.search_every);
            let longer = (waited * 2).min(times.ttl.max(times.search_every));
            self.unknown_client_wait = (!keys.contains_key(kid)).then_some(longer);
        }
        self.failed_at = None;
        self.logged_error.take().is_some()
    }

    /// Records a failed attempt. Returns `true` if the error must be logged.
    pub(crate) fn fail(&mut self, error: &FetchError, now: Moment) -> bool {
        self.failed_at = Some(now);
        let is_new = self.logged_error.as_ref() != Some(error);
        if is_new {
            self.logged_error = Some(error.clone());
        }
        is_new
    }

    /// Records the faulty key of a document, if it has one. Returns it if it must be logged.
    pub(crate) fn note_fault(&mut self, fault: Option<Fault>) -> Option<&Fault> {
        let is_new = fault != self.logged_fault;
        self.logged_fault = fault;
        self.logged_fault.as_ref().filter(|_| is_new)
    }

    /// Returns the time of the last failed attempt; `None` once a fetch has succeeded.
    pub(crate) const fn failed_at(&self) -> Option<Moment> {
        self.failed_at
    }

    #[cfg(test)]
    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwks::{self, Unusable};

    #[test]
    fn an_error_is_logged_once_until_it_changes_or_a_fetch_succeeds() {
        let (mut state, times) = (FetchState::default(), KeyTimes::default());
        let now = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };
        let succeed = |state: &mut FetchState| state.succeed(None, &ByKid::new(), &times);
        assert!(!succeed(&mut state), "nothing failed before");
        for (error, is_logged) in
            [(FetchError::Body, true), (FetchError::Body, false), (FetchError::NoRuntime, true)]
        {
            assert_eq!(state.fail(&error, now), is_logged, "{error}");
        }
        assert!(succeed(&mut state));
        assert!(!succeed(&mut state));
        assert!(state.fail(&FetchError::NoRuntime, now));
    }

    #[test]
    fn a_faulty_key_is_logged_once_until_it_changes() {
        let fault = |kid: &str| {
            let key = format!(
                r#"{{"kty":"EC","crv":"P-256","alg":"ES256","kid":"{kid}","x":"","y":""}}"#
            );
            match jwks::read(format!(r#"{{"keys":[{key}]}}"#).as_bytes()) {
                Err(Unusable::Faulty(fault)) => Some(fault),
                other => panic!("{other:?}"),
            }
        };
        let mut state = FetchState::default();
        for (fault, is_logged) in [
            (None, false),
            (fault("a"), true),
            (fault("a"), false),
            (fault("b"), true),
            (None, false),
            (fault("b"), true),
        ] {
            let logged = state.note_fault(fault.clone()).cloned();
            assert_eq!(logged, fault.filter(|_| is_logged));
        }
    }
}
