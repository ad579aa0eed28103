//! The terms on which the requests of a route are watched.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cut::CutReport;
use crate::clock::UnixSeconds;
use crate::limits::LEEWAY;
use crate::revocations::Revocations;
use crate::staleness::Bound;
use crate::state::State;
use crate::verdict::Checks;

/// The terms on which a route's requests are cut while they run; one a route, shared.
///
/// A running request is cut as soon as a new one on the same token would be refused: when one of
/// its anchors is revoked or suspended, when its delegation epoch is stale (where that is
/// checked), and when the horizon passes its `iat` (where that is). It is also cut when its `exp`
/// has passed, and, where that is asked for, when too little has been known for longer than the
/// bound; where the state is full, what is revoked then is cut too, although it finds no room.
/// Invalidated keys and policies cut nothing: they say nothing of a token that was
/// admitted.
///
/// ```
/// use std::sync::Arc;
/// use caracal_revocation_event::{KeyRing, Message, Stream};
/// use caracal_revocation_state::{Checks, Claims, Options, RevocationsWriter, CutPolicy};
///
/// let revocations = RevocationsWriter::new(Options::default());
/// let watch = Arc::new(CutPolicy::new(revocations.reader(), Checks::default()));
/// let issued = i64::try_from(revocations.now().wall.as_secs())?;
/// let running = watch.start(&Claims::new("ar-1", issued, issued + 900));
/// assert_eq!(running.cut(), None);
///
/// let fields: [(&[u8], &[u8]); 1] = [(b"sid", b"ar-1")];
/// let message = Message::new(Stream::SessionsRevoke, &fields);
/// let event = KeyRing::insecure_accept_unsigned().verify(&message)?;
/// revocations.apply(&event, revocations.now());
/// assert_eq!(running.cut().map(|cut| cut.label()), Some("revoked"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CutPolicy {
    pub(super) state: Arc<State>,
    pub(super) checks: Checks,
    exp_grace: Duration,
    /// The bound on staleness, if the route cuts what is unknown.
    pub(super) bound: Option<Bound>,
    pub(super) on_cut: Option<OnCut>,
}

type OnCut = Box<dyn Fn(&CutReport<'_>) + Send + Sync>;

impl CutPolicy {
    /// Watches for what these checks look at, and for `exp` with a grace of 60 seconds: the leeway
    /// after which a new request is refused.
    #[must_use]
    pub fn new(revocations: Revocations, checks: Checks) -> Self {
        Self {
            state: Arc::clone(revocations.state()),
            checks,
            exp_grace: LEEWAY,
            bound: None,
            on_cut: None,
        }
    }

    /// Cuts so long after `exp`. Whole seconds count.
    #[must_use]
    pub const fn with_exp_grace(mut self, grace: Duration) -> Self {
        self.exp_grace = grace;
        self
    }

    /// Cuts when the state is unknown, too: when the last proof that the log is complete is older
    /// than the bound of the state or of the checks, whichever is smaller. Has no effect where the
    /// checks fail open.
    #[must_use]
    pub fn cut_when_unknown(mut self) -> Self {
        let bound = self.state.bound(&self.checks);
        self.bound = Some(bound).filter(|_| !self.checks.fail_open_unknown);
        self
    }

    /// Calls this once for each request that was cut, by whichever part of it ends first.
    #[must_use]
    pub fn on_cut(mut self, hook: impl Fn(&CutReport<'_>) + Send + Sync + 'static) -> Self {
        self.on_cut = Some(Box::new(hook));
        self
    }

    /// The second in which a request on a token of this `exp` ends.
    pub(super) fn deadline(&self, exp: UnixSeconds) -> UnixSeconds {
        exp.later_by(self.exp_grace)
    }
}

impl fmt::Debug for CutPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CutPolicy")
            .field("checks", &self.checks)
            .field("exp_grace", &self.exp_grace)
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}
