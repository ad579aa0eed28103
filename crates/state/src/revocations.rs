//! The reader: one handle, cheap to clone, that only answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use crate::claims::Claims;
use crate::clock::{Moment, UnixSeconds, nanos};
use crate::freshness::NotReady;
use crate::horizon::LossVersion;
use crate::options::{BoundError, Options};
use crate::readiness::{Degraded, Readiness, Unready};
use crate::staleness::{Bound, Staleness};
use crate::state::{State, StateId};
use crate::verdict::{Checks, Verdict};
use crate::zones::{PolicyChanges, PolicyInvalidation, ZoneView};

/// Answers what a service knows about revocation. Layers share one with the follower that feeds its
/// [`RevocationsWriter`]; clones read the same state, and none can change it.
///
/// The crate's documentation shows it at work. A handler cannot confirm, so it cannot make a stale
/// view look fresh:
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

    /// The time by the state's clock.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.now()
    }

    /// The time by the state's clock, for a decision: [`Clock::now_coarse`](crate::Clock::now_coarse).
    #[inline]
    #[must_use]
    pub fn now_coarse(&self) -> Moment {
        self.0.clock.now_coarse()
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The verdict on a token with these claims at this moment.
    ///
    /// Takes no lock and allocates nothing unless an anchor matches (or, with
    /// [`Checks::delegation_epoch`], the token carries an epoch, which takes a read lock); once for
    /// each thread, whenever the index has outgrown its filter, a lock for an instant.
    pub fn decide<S: AsRef<str>>(
        &self,
        claims: &Claims<S>,
        checks: &Checks,
        now: Moment,
    ) -> Verdict {
        self.0.decide_on(claims, checks, now)
    }

    /// How long before `now` an anchor of these claims was revoked here, told once an anchor: to
    /// be asked, for the metrics, when a token with these claims is refused.
    ///
    /// None where the anchor was replayed from history, or a minute has passed: then the lag is
    /// the client's, which did not use the token.
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

    /// Returns `true` if both read the same state.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Asks for a view that is never older than this, for [`Checks::deny_after`]: the follower
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

    /// The shortest bound that anybody asks for.
    #[must_use]
    pub fn shortest_bound(&self) -> Duration {
        Duration::from_nanos(self.0.shortest_bound.load(Ordering::Acquire))
    }

    /// Returns whether a service with this state should be given requests at this moment, and why
    /// not. It is ready exactly while a token that nothing is known against is admitted.
    #[must_use]
    pub fn readiness(&self, now: Moment) -> Readiness {
        let staleness = self.0.freshness.staleness_at(now);
        let warn_after = Bound::new(self.0.options.warn_after);
        let signatures_fail = self.0.freshness.signatures_fail();
        Readiness {
            unready: Unready::of(staleness, self.0.deny_after, self.is_full()),
            degraded: signatures_fail.then_some(Degraded::SignaturesFail),
            staleness: staleness.ok().map(Staleness::duration),
            is_late: staleness.is_ok_and(|staleness| staleness.exceeds(warn_after)),
            outage: self.0.freshness.outage(),
            horizon: self.horizon_at(now),
        }
    }

    /// The horizon in seconds since the Unix epoch, if messages may have been lost: of the tokens
    /// that a second source of truth decides too, or else of the others only. It ends 65 minutes
    /// after it was raised, when no living token can be older.
    #[must_use]
    pub fn horizon(&self) -> Option<i64> {
        self.horizon_at(self.now())
    }

    fn horizon_at(&self, now: Moment) -> Option<i64> {
        let heights = self.0.horizon.heights(now);
        heights.second(true).or_else(|| heights.second(false)).map(UnixSeconds::get)
    }

    /// How often messages may have been lost so far. Ask before a second source of truth is read,
    /// for [`RevocationsWriter::clear_horizon`].
    ///
    /// [`RevocationsWriter::clear_horizon`]: crate::RevocationsWriter::clear_horizon
    #[must_use]
    pub fn losses(&self) -> LossVersion {
        self.0.horizon.losses()
    }

    /// Tells, from now on, when messages may have been lost.
    #[must_use]
    pub fn watch_losses(&self) -> watch::Receiver<LossVersion> {
        self.0.horizon.watch()
    }

    /// Returns `true` if more is revoked than may be remembered. Every verdict is unknown then,
    /// except on a token that is known to be revoked.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.index.is_full()
    }

    /// The newest word that the zone's policy is stale.
    #[must_use]
    pub fn policy(&self, zone: &str) -> PolicyInvalidation {
        self.0.zones.policy(zone)
    }

    /// Tells, from now on, when the policy of any zone was invalidated.
    #[must_use]
    pub fn policy_changes(&self) -> PolicyChanges {
        self.0.zones.policy_changes()
    }

    /// How long ago the log was last proven complete.
    ///
    /// # Errors
    ///
    /// [`NotReady`] when it has not been yet, or nothing that was read can be believed.
    pub fn staleness(&self, now: Moment) -> Result<Duration, NotReady> {
        self.0.freshness.staleness(now)
    }

    /// Waits until the history has been replayed and proven complete once.
    pub async fn ready(&self) {
        let mut confirmed = std::pin::pin!(self.0.ready.notified());
        loop {
            // Register before looking, so that a confirmation in between is not missed.
            confirmed.as_mut().enable();
            if self.staleness(self.now()).is_ok() {
                return;
            }
            confirmed.as_mut().await;
            confirmed.set(self.0.ready.notified());
        }
    }

    /// The zone's epoch and generations.
    #[must_use]
    pub fn zone(&self, id: &str) -> ZoneView {
        self.0.zones.view(id)
    }

    /// How many anchors and sessions are remembered.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.0.index.len()
    }

    /// Bytes of memory that the entries take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.index.bytes()
    }

    /// How many anchors have requests running on them, each counted once a request; 0 when
    /// nothing runs that could be cut.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.len()
    }

    /// Cuts the running requests whose end has come: by `exp`, or because the state has been
    /// unknown for too long. Returns after how long that must be asked again, if it must.
    ///
    /// A thread of the state's own does this; a test that moves a [`ManualClock`] need not wait
    /// for it.
    ///
    /// [`ManualClock`]: crate::ManualClock
    pub fn cut_overdue(&self, now: Moment) -> Option<Duration> {
        self.0.cut_overdue(now)
    }
}
