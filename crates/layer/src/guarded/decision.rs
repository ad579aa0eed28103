//! The decision about a request, and its copy for the service behind.

use caracal_revocation_state::Admitted;

use super::authorizer::Verification;
use super::request_context::RequestContext;
use crate::RequestDenial;
use crate::answer::Denial;

/// A decision of the guard.
pub(crate) enum GuardDecision {
    /// The request goes on. Its context is there unless nothing cuts the request.
    Admitted(Option<RequestContext>),
    Denied(Box<Denial>),
    /// [`Guard::conclude`](super::Guard::conclude) decides, once the verifier is done.
    Verifying(Verification),
}

/// The outcome for a request behind [`GatewayLayer::insecure_observe_only`], in the request's
/// extensions.
///
/// [`GatewayLayer::insecure_observe_only`]: crate::GatewayLayer::insecure_observe_only
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed(Result<Option<Admitted>, RequestDenial>);

impl Observed {
    /// An anonymous request has no proof.
    pub(crate) const fn new(outcome: Result<Option<Admitted>, RequestDenial>) -> Self {
        Self(outcome)
    }

    /// Returns the proof that the token is good. An anonymous request has none.
    #[must_use]
    pub const fn admitted(&self) -> Option<Admitted> {
        match self.0 {
            Ok(admitted) => admitted,
            Err(_) => None,
        }
    }

    /// Returns the reason for which the request would have been denied, if it would have been.
    #[must_use]
    pub fn rejection(&self) -> Option<&RequestDenial> {
        self.0.as_ref().err()
    }
}
