//! The writer: the only handle that changes a state.

use std::ops::Deref;
use std::sync::Arc;

use crate::clock::{Clock, Minute, Moment, SystemClock, UnixSeconds};
use crate::freshness::NotReady;
use crate::horizon::{Cause, LossVersion};
use crate::options::Options;
use crate::outage::OutageCause;
use crate::report::FollowerReport;
use crate::revocations::Revocations;
use crate::state::State;

/// Changes a state: applies events, confirms freshness, restores snapshots and raises the horizon.
///
/// There is one writer for each state, and it is not `Clone`. A follower owns it. Everything else
/// uses a [`Revocations`] from [`reader`](Self::reader), which only answers. The writer
/// dereferences to its own reader. Without a writer, the state does not change, and it goes stale.
///
/// ```
/// use caracal_revocation_state::{Options, RevocationsWriter};
///
/// let writer = RevocationsWriter::new(Options::default());
/// let revocations = writer.reader();
/// assert!(!revocations.readiness(revocations.now()).is_ready());
/// writer.confirm(writer.now());
/// assert!(revocations.readiness(revocations.now()).is_ready());
/// ```
#[derive(Debug)]
pub struct RevocationsWriter {
    reader: Revocations,
}

impl RevocationsWriter {
    /// Creates an empty state on this machine's clocks. It is not ready until it is confirmed.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::with_clock(options, Arc::new(SystemClock::new()))
    }

    /// Creates an empty state on another clock.
    #[must_use]
    pub fn with_clock(options: Options, clock: Arc<dyn Clock>) -> Self {
        Self { reader: Revocations::of(Arc::new(State::new(options, clock))) }
    }

    /// Returns a handle that reads this state, for layers and handlers.
    #[must_use]
    pub fn reader(&self) -> Revocations {
        self.reader.clone()
    }

    /// Records that the log was proven complete as of `as_of`: the time at which the check that
    /// passed was *sent*.
    pub fn confirm(&self, as_of: Moment) {
        self.state().freshness.confirm(as_of);
        self.state().ready.notify_waiters();
    }

    /// Makes every verdict unknown for this reason until the next [`Self::confirm`]. Returns
    /// `true` if the reason changed.
    pub fn set_not_ready(&self, why: NotReady) -> bool {
        self.state().freshness.set_not_ready(why)
    }

    /// Records why the log cannot be read, or `None` if it can. Returns `true` if the value
    /// changed.
    pub fn set_outage(&self, outage: Option<OutageCause>) -> bool {
        self.state().freshness.set_outage(outage)
    }

    /// Records whether messages arrive that no accepted key has signed. This degrades readiness and
    /// changes no verdict. Returns `true` if the value changed.
    pub fn set_signatures_fail(&self, fail: bool) -> bool {
        self.state().freshness.set_signatures_fail(fail)
    }

    /// Changes the report that [`Revocations::follower`] returns. No decision depends on it.
    pub fn report(&self, change: impl FnOnce(&mut FollowerReport)) {
        self.state().report.change(change);
    }

    /// Records that messages published up to `second` (since the Unix epoch) may have been lost:
    /// tokens issued up to then are denied. Never lowers the horizon.
    pub fn raise_horizon(&self, second: i64) {
        // rule: gap-raises-horizon
        self.raise(second, Cause::Missing);
    }

    /// Records that a signed message was re-cut: a writer moved text between its fields, so its
    /// meaning is lost (contract, "Ambiguous messages"). The message was published up to `second`
    /// (since the Unix epoch). Raises the horizon as [`Self::raise_horizon`] does. Such losses are
    /// counted separately, because any writer to the streams can repeat them.
    pub fn cover_recut(&self, second: i64) {
        self.raise(second, Cause::Recut);
    }

    fn raise(&self, second: i64, cause: Cause) {
        let second = UnixSeconds::new(second);
        // Requests on tokens below the old horizon were checked when it rose, or when they
        // registered.
        if self.state().horizon.raise(second, self.now(), cause) {
            // Strict mode also concerns tokens issued later.
            let is_strict = self.state().options.strict;
            self.state().cut_issued_up_to(if is_strict { UnixSeconds::MAX } else { second });
        }
    }

    /// Records that messages may have been lost, without proof. No token is denied for it, but
    /// [`Revocations::losses`] changes, so a second source of truth is read again.
    pub fn suspect_loss(&self) {
        self.state().horizon.suspect();
    }

    /// Clears the horizon for the tokens that a second source of truth decides. Returns `true` if
    /// it was cleared.
    ///
    /// Call it after such a source was read in one snapshot, begun after [`Revocations::losses`]
    /// returned `losses`, and after all its facts were added. Another loss since then keeps the
    /// horizon. The tokens are those whose claim `use` is `gateway` or `resource`; tokens of a
    /// session that was suspended and resumed stay below the horizon.
    pub fn clear_horizon(&self, losses: LossVersion) -> bool {
        self.state().horizon.clear_decidable(losses)
    }

    /// Leaves the full state if there is room again. Returns `true` if it did. The dropped entries
    /// count as lost up to `second`, as in [`Self::raise_horizon`].
    pub fn reopen(&self, second: i64) -> bool {
        let reopens = self.is_full() && self.state().index.has_room();
        if reopens {
            // The horizon first: a reader that sees room must also see the horizon.
            self.raise_horizon(second);
            self.state().index.reopen();
        }
        reopens
    }

    /// Makes the cached keys of every zone stale, because messages about them may have been lost.
    pub fn forget_all_keys(&self) {
        self.state().zones.forget_all_keys();
    }

    /// Makes the policies of every zone stale, because messages about them may have been lost.
    pub fn reload_all_policies(&self) {
        self.state().zones.reload_all_policies(self.now());
    }

    /// Removes expired entries from one slice of the index, so that each call is short.
    pub fn sweep_slice(&self, now: Moment) {
        self.state().index.sweep_slice(Minute::of(now.monotonic));
    }

    /// Removes all expired entries at once.
    pub fn sweep(&self, now: Moment) {
        self.state().index.sweep(Minute::of(now.monotonic));
    }
}

impl Deref for RevocationsWriter {
    type Target = Revocations;

    fn deref(&self) -> &Revocations {
        &self.reader
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use caracal_revocation_event::{KeyRing, Message, Stream};

    use super::*;
    use crate::claims::Claims;
    use crate::clock::ManualClock;
    use crate::limits::SHORTEST_MEMORY;
    use crate::verdict::{Checks, Verdict};

    fn revoke(revocations: &RevocationsWriter, sid: &str) {
        let fields: [(&[u8], &[u8]); 1] = [(b"sid", sid.as_bytes())];
        let message = Message::new(Stream::SessionsRevoke, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        revocations.apply(&event, revocations.now());
    }

    #[test]
    fn reports_lag_of_live_revocation_at_first_denial() {
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
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
    fn gap_makes_keys_or_policies_of_every_zone_stale() {
        let revocations = RevocationsWriter::new(Options::default());
        let generations = || {
            let zone = revocations.zone("z-1");
            (zone.keys_generation, zone.policy_generation)
        };
        revocations.forget_all_keys();
        assert_eq!(generations(), (1, 0));
        revocations.reload_all_policies();
        assert_eq!(generations(), (1, 1));
    }

    #[test]
    fn reader_sees_the_report_of_the_follower() {
        let revocations = RevocationsWriter::new(Options::default());
        let reader = revocations.reader();
        let before = reader.follower();
        revocations.report(|report| report.has_ended = true);
        assert_eq!((before.has_ended, reader.follower().has_ended), (false, true));
    }

    #[test]
    fn lengthens_memory_shorter_than_a_mandate() {
        let short = Options { memory: Duration::from_secs(1), ..Options::default() };
        assert_eq!(RevocationsWriter::new(short).options().memory, SHORTEST_MEMORY);
    }

    #[test]
    fn warns_before_requests_are_denied() {
        let after = |deny_after, warn_after| {
            let [deny_after, warn_after] = [deny_after, warn_after].map(Duration::from_millis);
            let options = Options { deny_after, warn_after, ..Options::default() };
            RevocationsWriter::new(options).options().warn_after.as_millis()
        };
        assert_eq!(after(60_000, 5_000), 5_000);
        assert_eq!(after(5_000, 4_900), 4_900);
        assert_eq!(after(5_000, 5_000), 3_000);
        assert_eq!(after(500, 5_000), Options::SHORTEST_BOUND.as_millis());
    }

    /// An id that calls a function each time it is read.
    struct Id<'a>(&'a str, &'a dyn Fn());

    impl AsRef<str> for Id<'_> {
        fn as_ref(&self) -> &str {
            self.1();
            self.0
        }
    }

    #[test]
    fn confirmation_during_a_decision_does_not_freshen_earlier_lookups() {
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
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
            token_use: None,
            iat: 1_795_400_000,
            exp: 1_795_403_600,
        };
        let verdict = revocations.decide(&claims, &Checks::default(), revocations.now());
        // Both "stale" and "revoked" are correct answers here.
        assert!(!matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
        assert!(caught_up.get());
    }
}
