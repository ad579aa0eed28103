//! The conditions under which the running requests of a route are cut.

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

/// Configures when the running requests of a route are cut. A route has one policy, which its
/// requests share.
///
/// A running request is cut as soon as a new one on the same token would be denied:
///
/// - one of its anchors is revoked or suspended, even if the index is full and cannot store that;
/// - its delegation epoch is stale, if that is checked;
/// - the horizon reaches its `iat`, if that is checked.
///
/// It is also cut when its `exp` and the grace have passed. With [`CutPolicy::cut_when_unknown`],
/// it is cut when the state has been unknown for longer than the bound. Invalidated keys and
/// policies cut no request, because they do not concern a token that was already admitted.
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
    /// The bound on staleness, if the route cuts requests when the state is unknown.
    pub(super) bound: Option<Bound>,
    pub(super) on_cut: Option<OnCut>,
}

type OnCut = Box<dyn Fn(&CutReport<'_>) + Send + Sync>;

impl CutPolicy {
    /// Creates a policy that applies these checks to running requests, and cuts at `exp` with a
    /// grace of 60 seconds: the leeway after which a new request is denied.
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

    /// Sets the time after `exp` at which requests are cut. Ignores fractions of a second.
    #[must_use]
    pub const fn with_exp_grace(mut self, grace: Duration) -> Self {
        self.exp_grace = grace;
        self
    }

    /// Cuts requests when the state is unknown, too: when the last proof that the log is complete
    /// is older than the bound of the state or of the checks, whichever is smaller. Has no effect
    /// if the checks fail open.
    #[must_use]
    pub fn cut_when_unknown(mut self) -> Self {
        let bound = self.state.bound(&self.checks);
        self.bound = Some(bound).filter(|_| !self.checks.fail_open_unknown);
        self
    }

    /// Calls `hook` once for each request that was cut, when its first part reports the cut.
    #[must_use]
    pub fn on_cut(mut self, hook: impl Fn(&CutReport<'_>) + Send + Sync + 'static) -> Self {
        self.on_cut = Some(Box::new(hook));
        self
    }

    /// Returns the second in which a request on a token with this `exp` is cut.
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
