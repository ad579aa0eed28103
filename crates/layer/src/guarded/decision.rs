//! The decision about a request, and the copy of it for the service.

use caracal_revocation_state::Admitted;

use super::authorizer::PendingStep;
use super::request_context::RequestContext;
use crate::RequestDenial;
use crate::answer::Denial;

/// The decision of a layer about one request.
pub(crate) enum GuardDecision {
    /// The request goes on. It has a context if it can be cut.
    Admitted(Option<RequestContext>),
    Denied(Box<Denial>),
    /// [`Guard::conclude`](super::Guard::conclude) decides, once this step is done.
    Waiting(PendingStep),
}

/// The outcome for a request that was only observed, in the request's extensions. See
/// [`GatewayLayer::insecure_observe_only`].
///
/// [`GatewayLayer::insecure_observe_only`]: crate::GatewayLayer::insecure_observe_only
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed(Result<Option<Admitted>, RequestDenial>);

impl Observed {
    /// Creates the outcome. An anonymous request has no proof.
    pub(crate) const fn new(outcome: Result<Option<Admitted>, RequestDenial>) -> Self {
        Self(outcome)
    }

    /// Returns the proof that the request was admitted. An anonymous request has none.
    #[must_use]
    pub const fn admitted(&self) -> Option<Admitted> {
        match self.0 {
            Ok(admitted) => admitted,
            Err(_) => None,
        }
    }

    /// Returns the reason why the request would have been denied, or `None` if it was admitted.
    #[must_use]
    pub fn rejection(&self) -> Option<&RequestDenial> {
        self.0.as_ref().err()
    }
}
