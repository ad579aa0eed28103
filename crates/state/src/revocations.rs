//! The state that followers write and layers read: one handle, cheap to clone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::authority::{Authority, Grounds};
use crate::claims::Claims;
use crate::clock::{Clock, Moment, SystemClock};
use crate::freshness::{Freshness, NotReady, nanos};
use crate::horizon::{Cause, Horizon, Losses};
use crate::index::Index;
use crate::options::{BoundError, Options};
use crate::readiness::{Degraded, Outage, Readiness, Unready};
use crate::recent::Recent;
use crate::running::{Registry, Timekeeper};
use crate::verdict::{Checks, Verdict};
use crate::zones::{PolicyChanges, PolicyInvalidation, ZoneView, Zones};

/// What a service knows about revocation: one value, shared by the follower that feeds it and
/// every layer that asks it. Clones share the same state.
///
/// The crate's documentation shows it at work.
#[derive(Clone, Debug)]
pub struct Revocations(Arc<State>);

/// A handle that does not keep the state alive.
#[derive(Clone, Debug)]
pub(crate) struct WeakRevocations(Weak<State>);

/// Tells one state from every other of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateId(u64);

impl StateId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(crate) struct State {
    id: StateId,
    options: Options,
    /// The option of this name, in nanoseconds.
    pub(crate) deny_after: u64,
    clock: Arc<dyn Clock>,
    pub(crate) index: Index,
    pub(crate) recent: Recent,
    pub(crate) zones: Zones,
    pub(crate) freshness: Freshness,
    pub(crate) horizon: Horizon,
    pub(crate) running: Registry,
    pub(crate) timekeeper: Timekeeper,
    /// The shortest bound that anybody asks for, in nanoseconds.
    shortest_bound: AtomicU64,
    ready: Notify,
}

impl Revocations {
    /// An empty state that knows nothing yet, on this machine's clocks.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::with_clock(options, Arc::new(SystemClock::new()))
    }

    /// The same on another clock.
    #[must_use]
    pub fn with_clock(options: Options, clock: Arc<dyn Clock>) -> Self {
        let options = options.in_order();
        Self(Arc::new(State {
            id: StateId::next(),
            deny_after: nanos(options.deny_after),
            options,
            clock,
            index: Index::with_room_for(options.max_entries),
            recent: Recent::new(),
            zones: Zones::default(),
            freshness: Freshness::default(),
            horizon: Horizon::default(),
            running: Registry::new(),
            timekeeper: Timekeeper::default(),
            shortest_bound: AtomicU64::new(nanos(options.deny_after)),
            ready: Notify::new(),
        }))
    }

    pub(crate) fn downgrade(&self) -> WeakRevocations {
        WeakRevocations(Arc::downgrade(&self.0))
    }

    pub(crate) fn id(&self) -> StateId {
        self.0.id
    }

    pub(crate) fn state(&self) -> &State {
        &self.0
    }

    /// The time by the state's clock.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// The time by the state's clock, for a decision: [`Clock::glance`].
    #[inline]
    #[must_use]
    pub fn glance(&self) -> Moment {
        self.0.clock.glance()
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
        self.decide_on(claims, checks, now)
    }

    /// Digests these claims once, for decisions at many requests. The authority keeps a copy of the
    /// claims.
    #[must_use]
    pub fn authority<S: AsRef<str>>(&self, claims: &Claims<S>) -> Authority {
        self.authority_of(Arc::new(claims.to_owned_text()))
    }

    /// Digests shared claims like [`Self::authority`], without a copy.
    #[must_use]
    pub fn authority_of(&self, claims: Arc<Claims>) -> Authority {
        Authority::new(self.clone(), self.grounds(&claims, true), claims)
    }

    pub(crate) fn grounds<S: AsRef<str>>(&self, claims: &Claims<S>, chain: bool) -> Grounds {
        Grounds::of(claims, chain, |id| self.0.index.digest(id))
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
        self.take_lag(anchors.map(|(_, id)| self.0.index.hash(id)), now)
    }

    pub(crate) fn take_lag(
        &self,
        anchors: impl Iterator<Item = u64>,
        now: Moment,
    ) -> Option<Duration> {
        let recent = &self.0.recent;
        if !recent.is_any(now.monotonic) {
            return None;
        }
        anchors.filter_map(|hash| recent.take(hash, now.monotonic)).max()
    }

    /// Whether both are the same state, and not merely alike.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Now, in minutes of the process.
    pub(crate) fn now_minute(&self) -> u32 {
        minute(self.now().monotonic)
    }

    /// Records that the log was proven complete as of `as_of`: the time at which the check that
    /// passed was *sent*. For followers only.
    pub fn confirm(&self, as_of: Moment) {
        self.0.freshness.confirm(as_of);
        self.0.ready.notify_waiters();
    }

    /// Makes every verdict unknown for this reason until the next [`Revocations::confirm`]. Returns
    /// `true` if the reason changed. For followers only.
    pub fn withhold(&self, why: NotReady) -> bool {
        self.0.freshness.withhold(why)
    }

    /// Says why the log cannot be read, or that it can; whether that is news. For followers only.
    pub fn set_outage(&self, outage: Option<Outage>) -> bool {
        self.0.freshness.set_outage(outage)
    }

    /// Records that messages arrive which no accepted key has signed, or that this ended. It alarms,
    /// and changes no verdict. Returns `true` if it changed. For followers only.
    pub fn set_signatures_fail(&self, fail: bool) -> bool {
        self.0.freshness.set_signatures_fail(fail)
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
        let staleness_ns = self.0.freshness.staleness_ns(now);
        let staleness = staleness_ns.ok().map(Duration::from_nanos);
        let signatures_fail = self.0.freshness.signatures_fail();
        Readiness {
            unready: Unready::of(staleness_ns, self.0.deny_after, self.is_full()),
            degraded: signatures_fail.then_some(Degraded::SignaturesFail),
            staleness,
            is_late: staleness.is_some_and(|staleness| staleness > self.0.options.warn_after),
            outage: self.0.freshness.outage(),
            horizon: self.horizon_at(now),
        }
    }

    /// Messages published up to `second` (since the Unix epoch) may have been lost: tokens made
    /// up to then are refused. Never goes back by this. For followers only.
    pub fn raise_horizon(&self, second: i64) {
        self.raise(second, Cause::Missing);
    }

    /// A signed message was re-cut, and what it hid was published up to `second` (since the Unix
    /// epoch): covers it as [`Revocations::raise_horizon`] does. It is counted apart, since anybody
    /// who can write to the streams can repeat it. For followers only.
    pub fn cover_recut(&self, second: i64) {
        self.raise(second, Cause::Recut);
    }

    fn raise(&self, second: i64, cause: Cause) {
        // What runs on a token below the old height was looked at when it rose to that, or when it
        // registered.
        if self.0.horizon.raise(second, self.now(), cause) {
            // Strict mode also concerns tokens made later.
            self.cut_made_up_to(if self.0.options.strict { i64::MAX } else { second });
        }
    }

    /// Messages may have been lost, and nothing proves it: no token is refused for it, and a
    /// second source of truth is read again. For followers only.
    pub fn suspect_loss(&self) {
        self.0.horizon.suspect();
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
        heights.second(true).or_else(|| heights.second(false))
    }

    /// How often messages may have been lost so far. Ask before a second source of truth is read,
    /// for [`Revocations::take_back_horizon`].
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.0.horizon.losses()
    }

    /// Tells, from now on, when messages may have been lost.
    #[must_use]
    pub fn watch_losses(&self) -> watch::Receiver<Losses> {
        self.0.horizon.watch()
    }

    /// A second source of truth was read in one snapshot, begun after `losses` was asked for, and
    /// all of it added: what may have been lost until then is known. Takes back the horizon for
    /// the tokens that such a source decides, those with the claim `use` of `gateway` or
    /// `resource`, unless there was another loss since; whether it did. Tokens of a session that
    /// was suspended and resumed keep it too.
    pub fn take_back_horizon(&self, losses: Losses) -> bool {
        self.0.horizon.take_back(losses)
    }

    /// Whether more is revoked than may be remembered: every verdict is unknown then, but for
    /// what is known to be revoked.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.index.is_full()
    }

    /// Where the state is full and there is room again: counts what found none as lost up to
    /// `second`, as [`Revocations::raise_horizon`] does, and goes on. Whether it did. For
    /// followers only.
    pub fn reopen(&self, second: i64) -> bool {
        let reopens = self.is_full() && self.0.index.has_room();
        if reopens {
            // First this: whoever sees it open must see the horizon.
            self.raise_horizon(second);
            self.0.index.reopen();
        }
        reopens
    }

    /// Makes the keys of every zone stale: messages about them may have been lost.
    pub fn forget_all_keys(&self) {
        self.0.zones.forget_all_keys();
    }

    /// Makes the policies of every zone stale: messages about them may have been lost.
    pub fn reload_all_policies(&self) {
        self.0.zones.reload_all_policies(self.now());
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

    /// Forgets what expired, one slice of the index a call, so that no call takes long.
    pub fn sweep_slice(&self, now: Moment) {
        self.0.index.sweep_slice(minute(now.monotonic));
    }

    /// Forgets everything that expired, all slices at once.
    pub fn sweep(&self, now: Moment) {
        self.0.index.sweep(minute(now.monotonic));
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
}

impl WeakRevocations {
    pub(crate) fn upgrade(&self) -> Option<Revocations> {
        self.0.upgrade().map(Revocations)
    }
}

/// Whole minutes of the process; 2^24 of them are 31 years.
pub(crate) fn minute(since: Duration) -> u32 {
    u32::try_from(since.as_secs() / 60).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use caracal_revocation_event::{KeyRing, Message, Stream};

    use super::*;
    use crate::ManualClock;
    use crate::options::SHORTEST_MEMORY;

    fn revoke(revocations: &Revocations, sid: &str) {
        let fields: [(&[u8], &[u8]); 1] = [(b"sid", sid.as_bytes())];
        let message = Message::new(Stream::SessionsRevoke, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        revocations.apply(&event, revocations.now());
    }

    #[test]
    fn tells_how_long_a_live_revocation_waited_for_its_first_refusal() {
        let clock = Arc::new(ManualClock::new());
        let revocations = Revocations::with_clock(Options::default(), clock.clone());
        let lag = |id: &str| {
            let claims = Claims::new(id, 1_795_400_000, 1_795_403_600);
            revocations.take_enforcement_lag(&claims, &Checks::default(), revocations.now())
        };
        revoke(&revocations, "replayed");
        revocations.confirm(revocations.now());
        revoke(&revocations, "replayed");
        revoke(&revocations, "live");
        clock.advance(Duration::from_millis(7));
        assert_eq!(lag("replayed"), None);
        assert_eq!(lag("live"), Some(Duration::from_millis(7)));
        assert_eq!(lag("live"), None);
    }

    #[test]
    fn a_memory_shorter_than_a_mandate_is_lengthened() {
        let short = Options { memory: Duration::from_secs(1), ..Options::default() };
        assert_eq!(Revocations::new(short).options().memory, SHORTEST_MEMORY);
    }

    #[test]
    fn an_operator_is_told_before_requests_are_denied() {
        let after = |deny_after, warn_after| {
            let [deny_after, warn_after] = [deny_after, warn_after].map(Duration::from_millis);
            let options = Options { deny_after, warn_after, ..Options::default() };
            Revocations::new(options).options().warn_after.as_millis()
        };
        assert_eq!(after(60_000, 5_000), 5_000);
        assert_eq!(after(5_000, 4_900), 4_900);
        assert_eq!(after(5_000, 5_000), 3_000);
        assert_eq!(after(500, 5_000), Options::SHORTEST_BOUND.as_millis());
    }

    /// An id that lets something happen just before it is looked up.
    struct Id<'a>(&'a str, &'a dyn Fn());

    impl AsRef<str> for Id<'_> {
        fn as_ref(&self) -> &str {
            self.1();
            self.0
        }
    }

    #[test]
    fn a_proof_that_arrives_between_two_look_ups_says_nothing_of_the_first() {
        let clock = Arc::new(ManualClock::new());
        let revocations = Revocations::with_clock(Options::default(), clock.clone());
        revoke(&revocations, "somebody-else");
        revocations.confirm(revocations.now());
        clock.advance(Duration::from_secs(61));

        // After an outage, the follower catches up while a decision is under way.
        let caught_up = Cell::new(false);
        let catch_up = || {
            if !caught_up.replace(true) {
                revoke(&revocations, "ar-1");
                revocations.confirm(revocations.now());
            }
        };
        let claims = Claims {
            sid: Id("ar-1", &|| {}),
            root_sid: Some(Id("ar-0", &catch_up)),
            agent_session_id: None,
            delegation_edge_id: None,
            delegation_chain: Vec::new(),
            delegation_path: Vec::new(),
            hop_count: None,
            delegation_graph_epoch: 0,
            zone_id: None,
            usage: None,
            iat: 1_795_400_000,
            exp: 1_795_403_600,
        };
        let verdict = revocations.decide(&claims, &Checks::default(), revocations.now());
        // Either answer is true: that it is stale, or what a second look finds.
        assert!(!matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
        assert!(caught_up.get());
    }
}
