//! The reader: a handle that is cheap to clone and only answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use crate::claims::Claims;
use crate::clock::{Moment, UnixSeconds, nanos};
use crate::freshness::NotReady;
use crate::horizon::LossVersion;
use crate::options::{BoundError, Options};
use crate::readiness::{Degraded, Readiness};
use crate::report::FollowerReport;
use crate::staleness::{Bound, Staleness};
use crate::state::{State, StateId};
use crate::unknown::UnknownCause;
use crate::verdict::{Checks, Verdict};
use crate::zones::{PolicyChanges, PolicyInvalidation, ZoneView};

/// Answers questions about revoked tokens. Layers share one state with the follower that owns its
/// [`RevocationsWriter`]. Clones read the same state, and none can change it.
///
/// The crate's documentation has an example. A handler cannot confirm a state, so it cannot make a
/// stale view look fresh:
///
/// ```compile_fail,E0599
/// use caracal_revocation_state::{Options, RevocationsWriter};
/// let revocations = RevocationsWriter::new(Options::default()).reader();
/// revocations.confirm(revocations.now());
/// ```
///
/// [`RevocationsWriter`]: crate::RevocationsWriter
#[derive(Clone, Debug)]
pub struct Revocations(Arc<State>);

impl Revocations {
    pub(crate) fn of(state: Arc<State>) -> Self {
        Self(state)
    }

    pub(crate) fn id(&self) -> StateId {
        self.0.id
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.0
    }

    /// Returns the time by the state's clock.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.now()
    }

    /// Returns the time by the state's clock, for a decision: see
    /// [`Clock::now_coarse`](crate::Clock::now_coarse).
    #[inline]
    #[must_use]
    pub fn now_coarse(&self) -> Moment {
        self.0.clock.now_coarse()
    }

    /// Returns the options that the state was created with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Decides on a token with these claims at this moment.
    ///
    /// Takes no lock and allocates nothing unless an anchor matches. There are two exceptions: with
    /// [`Checks::delegation_epoch`], a token with an epoch takes a read lock; and each thread takes
    /// a short lock once after a writer has replaced the index's filter.
    pub fn decide<S: AsRef<str>>(
        &self,
        claims: &Claims<S>,
        checks: &Checks,
        now: Moment,
    ) -> Verdict {
        self.0.decide_on(claims, checks, now)
    }

    /// Returns how long before `now` an anchor of these claims was revoked here. For metrics: call
    /// it when a token with these claims is denied. Each anchor's lag is returned once.
    ///
    /// Returns `None` if the anchor was replayed from history. Also returns `None` after a minute,
    /// because the delay is then that of a client that did not use the token.
    #[must_use]
    pub fn take_enforcement_lag<S: AsRef<str>>(
        &self,
        claims: &Claims<S>,
        checks: &Checks,
        now: Moment,
    ) -> Option<Duration> {
        let anchors = claims.anchors(checks.chain);
        self.0.take_lag(anchors.map(|(_, id)| self.0.index.hash(id)), now)
    }

    /// Returns `true` if both handles read the same state.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Requires that the view is never older than this, for [`Checks::deny_after`]. The follower
    /// then checks the log more often.
    ///
    /// # Errors
    ///
    /// [`BoundError`] names the setting when the bound is smaller than
    /// [`Options::SHORTEST_BOUND`].
    pub fn require_bound(&self, setting: &'static str, bound: Duration) -> Result<(), BoundError> {
        BoundError::check(setting, bound)?;
        self.0.shortest_bound.fetch_min(nanos(bound), Ordering::AcqRel);
        Ok(())
    }

    /// Returns the shortest bound that any layer requires.
    #[must_use]
    pub fn shortest_bound(&self) -> Duration {
        Duration::from_nanos(self.0.shortest_bound.load(Ordering::Acquire))
    }

    /// Returns the readiness of a service with this state at this moment: ready, or the reason why
    /// not. It is ready exactly while a token with nothing against it is admitted.
    #[must_use]
    pub fn readiness(&self, now: Moment) -> Readiness {
        let staleness = self.0.freshness.staleness_at(now);
        let warn_after = Bound::new(self.0.options.warn_after);
        let signatures_fail = self.0.freshness.signatures_fail();
        Readiness {
            unready: UnknownCause::of(staleness, self.0.deny_after, self.is_full()),
            degraded: signatures_fail.then_some(Degraded::SignaturesFail),
            staleness: staleness.ok().map(Staleness::duration),
            is_late: staleness.is_ok_and(|staleness| staleness.exceeds(warn_after)),
            outage: self.0.freshness.outage(),
            horizon: self.horizon_at(now),
        }
    }

    /// Returns the report of the follower about its own work, for status pages. It is empty without
    /// a follower.
    #[must_use]
    pub fn follower(&self) -> FollowerReport {
        self.0.report.get()
    }

    /// Returns the horizon in seconds since the Unix epoch, if messages may have been lost. It is
    /// the horizon of tokens that a second source of truth decides, or else that of the other
    /// tokens only. It ends 65 minutes after it was raised, when no living token can be that old.
    #[must_use]
    pub fn horizon(&self) -> Option<i64> {
        self.horizon_at(self.now())
    }

    fn horizon_at(&self, now: Moment) -> Option<i64> {
        let heights = self.0.horizon.heights(now);
        heights.second(true).or_else(|| heights.second(false)).map(UnixSeconds::get)
    }

    /// Returns the version of the losses so far. Read it before a second source of truth is read,
    /// for [`RevocationsWriter::clear_horizon`].
    ///
    /// [`RevocationsWriter::clear_horizon`]: crate::RevocationsWriter::clear_horizon
    #[must_use]
    pub fn losses(&self) -> LossVersion {
        self.0.horizon.losses()
    }

    /// Returns a receiver that is notified of each later loss of messages.
    #[must_use]
    pub fn watch_losses(&self) -> watch::Receiver<LossVersion> {
        self.0.horizon.watch()
    }

    /// Returns `true` if the index is full. Every verdict is then unknown, except on tokens that
    /// are known to be revoked.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.index.is_full()
    }

    /// Returns the latest invalidation of the zone's policy.
    #[must_use]
    pub fn policy(&self, zone: &str) -> PolicyInvalidation {
        self.0.zones.policy(zone)
    }

    /// Returns a receiver that is notified of each later invalidation of any zone's policy.
    #[must_use]
    pub fn policy_changes(&self) -> PolicyChanges {
        self.0.zones.policy_changes()
    }

    /// Returns the time since the log was last proven complete.
    ///
    /// # Errors
    ///
    /// [`NotReady`] if it was not proven yet, or if none of its messages can be trusted.
    pub fn staleness(&self, now: Moment) -> Result<Duration, NotReady> {
        self.0.freshness.staleness(now)
    }

    /// Waits until the history has been replayed and proven complete once.
    pub async fn ready(&self) {
        let mut confirmed = std::pin::pin!(self.0.ready.notified());
        loop {
            // Enabled before the check, so that a confirmation in between is not missed.
            confirmed.as_mut().enable();
            if self.staleness(self.now()).is_ok() {
                return;
            }
            confirmed.as_mut().await;
            confirmed.set(self.0.ready.notified());
        }
    }

    /// Returns the zone's epochs and generations.
    #[must_use]
    pub fn zone(&self, id: &str) -> ZoneView {
        self.0.zones.view(id)
    }

    /// Returns the number of anchors and sessions that are remembered.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.0.index.len()
    }

    /// Returns the bytes of memory that the entries take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.index.bytes()
    }

    /// Returns the number of registered pairs of a running request and one of its anchors; 0 if no
    /// running request can be cut.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.len()
    }

    /// Cuts the running requests that are overdue: their `exp` has passed, or the state has been
    /// unknown for too long. Returns the time after which it must be called again, if any.
    ///
    /// A thread of the state calls this. Tests that move a [`ManualClock`] call it themselves.
    ///
    /// [`ManualClock`]: crate::ManualClock
    pub fn cut_overdue(&self, now: Moment) -> Option<Duration> {
        self.0.cut_overdue(now)
    }
}
