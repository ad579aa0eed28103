//! The layer that wraps a service in a [`Gateway`].

use std::sync::Arc;

use caracal_revocation_state::Revocations;
use tower_layer::Layer;

use super::guard::Guard;
use crate::Gateway;

/// Guards a service: only requests whose authority is known to stand reach it.
///
/// The crate's documentation shows it at work. Requests pass if
///
/// 1. they have at most one `Authorization` header, and no bearer token over 4096 bytes;
/// 2. their extensions hold [`Claims`], put there by whoever verified the token (or the token
///    itself is read, see [`with_insecure_unverified_claims`], or they have no `Authorization`
///    header at all and [`allow_anonymous`] lets them through unjudged);
/// 3. [`Revocations::decide`] admits these claims, at this moment.
///
/// A request that passes by its claims carries the proof, an [`Admitted`], in its extensions.
///
/// The layer that verifies tokens must stand outside this one: with axum's `Router::layer`, it is
/// added after it.
///
/// [`Admitted`]: caracal_revocation_state::Admitted
/// [`Claims`]: caracal_revocation_state::Claims
/// [`allow_anonymous`]: Self::allow_anonymous
/// [`with_insecure_unverified_claims`]: Self::with_insecure_unverified_claims
#[derive(Clone, Debug)]
#[must_use]
pub struct GatewayLayer {
    guard: Guard,
}

impl GatewayLayer {
    /// A layer that asks this state. Install a metrics recorder before making it.
    pub fn new(revocations: Revocations) -> Self {
        Self { guard: Guard::new(revocations) }
    }

    /// Reads the claims of a bearer token without verifying it, where the extensions hold none.
    ///
    /// Whoever writes a token can then choose claims that nothing is known against. That is
    /// sound only if the service behind verifies the very same token.
    pub fn with_insecure_unverified_claims(mut self) -> Self {
        self.guard.judge.unverified_claims = true;
        self
    }

    /// Lets requests through that have neither claims nor an `Authorization` header. One of
    /// another scheme than `Bearer` is still refused: somebody behind might read it otherwise.
    pub fn allow_anonymous(mut self) -> Self {
        self.guard.judge.allow_anonymous = true;
        self
    }

    /// Leaves out the hops of `delegation_chain` and `delegation_path`: a token then outlives
    /// the revocation of whatever it was delegated through.
    pub fn without_chain(mut self) -> Self {
        self.guard.judge.checks.chain = false;
        self
    }

    /// Refuses nothing: each outcome is counted, logged, and left to the service as an
    /// [`Observed`](crate::Observed) in the request's extensions.
    pub fn insecure_observe_only(mut self) -> Self {
        self.guard.observe_only = true;
        self
    }
}

impl<S> Layer<S> for GatewayLayer {
    type Service = Gateway<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Gateway { inner, guard: Arc::new(self.guard.clone()) }
    }
}
