//! The gateway's layer.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_mandate::Verifier;
use caracal_revocation_state::{BoundError, Revocations};
use tower_layer::Layer;

use crate::answer::Profile;
use crate::challenge::metadata_url;
use crate::guarded::Guard;
use crate::{CutOptions, Guarded, ResourceMetadataError};

/// Guards a service: only requests whose authority is known to stand reach it.
///
/// The crate's documentation shows it at work. Requests pass if
///
/// 1. they have at most one `Authorization` header, and no bearer token over 4096 bytes;
/// 2. their identity is known, from the first of these that there is: a verifier of the layer's own
///    (see [`with_verifier`]); the [`Admission`] of a layer outside, on the same [`Revocations`];
///    the [`Claims`], or an [`Authority`] made of them, that a layer which verified the token left
///    in the extensions; the token as it is, unverified (see
///    [`with_insecure_unverified_claims`]). Without an `Authorization` header
///    [`allow_anonymous`] lets them through undecided;
/// 3. [`Revocations::decide`] admits these claims, at this moment; where there are both claims and
///    an authority, the authority must be made of these claims.
///
/// A request that passes on an identity carries an [`Admission`] in its extensions: the proof and
/// the identity. `Claims` and `Authority` are moved into it, or removed if another layer left them:
/// layers and handlers inside read the identity in one place.
///
/// Unless a verifier is given, the layer that verifies tokens must stand outside this one: with
/// axum's `Router::layer`, it is added after it.
///
/// [`Admission`]: caracal_revocation_state::Admission
/// [`Authority`]: caracal_revocation_state::Authority
/// [`Claims`]: caracal_revocation_state::Claims
/// [`allow_anonymous`]: Self::allow_anonymous
/// [`with_verifier`]: Self::with_verifier
/// [`with_insecure_unverified_claims`]: Self::with_insecure_unverified_claims
#[derive(Clone, Debug)]
#[must_use]
pub struct GatewayLayer {
    guard: Arc<Guard>,
}

impl GatewayLayer {
    /// A layer that asks this state. Install a metrics recorder before making it.
    pub fn new(revocations: Revocations) -> Self {
        Self { guard: Arc::new(Guard::new(revocations, Profile::Gateway)) }
    }

    /// Verifies tokens here, and puts the [`Mandate`] into the request's extensions; [`Claims`]
    /// that are there count for nothing then.
    ///
    /// A gateway's verifier takes mandates of `Use::Gateway`; see `VerifierBuilder::with_uses`.
    ///
    /// [`Claims`]: caracal_revocation_state::Claims
    /// [`Mandate`]: caracal_revocation_mandate::Mandate
    pub fn with_verifier(self, verifier: Verifier) -> Self {
        self.changed(|guard| guard.authorizer.verifier = Some(verifier))
    }

    /// Reads the claims of a bearer token without verifying it, where the extensions hold none.
    ///
    /// Whoever writes a token can then choose claims that nothing is known against. That is
    /// sound only if the service behind verifies the very same token. The [`Admission`] carries
    /// no identity then: a policy layer inside denies the request, and a gateway layer inside
    /// decides as if there were no admission.
    ///
    /// [`Admission`]: caracal_revocation_state::Admission
    pub fn with_insecure_unverified_claims(self) -> Self {
        self.changed(|guard| guard.authorizer.unverified_claims = true)
    }

    /// Lets requests through that have neither claims nor an `Authorization` header. One of
    /// another scheme than `Bearer`, or an empty one, is still refused: somebody behind might read it
    /// otherwise. axum's handlers tell anonymous requests by `Option<Mandate>`, which is `None` for
    /// these alone.
    pub fn allow_anonymous(self) -> Self {
        self.changed(|guard| guard.authorizer.allow_anonymous = true)
    }

    /// Leaves out the hops of `delegation_chain` and `delegation_path`: a token then outlives
    /// the revocation of whatever it was delegated through.
    pub fn without_chain(self) -> Self {
        self.changed(|guard| guard.authorizer.checks.chain = false)
    }

    /// Refuses, as an outage, when the view is older than this: for routes that ask for less than
    /// the service's own bound. A larger bound changes nothing.
    ///
    /// # Errors
    ///
    /// [`BoundError`] when it is shorter than [`Options::SHORTEST_BOUND`], which nobody can keep.
    ///
    /// [`Options::SHORTEST_BOUND`]: caracal_revocation_state::Options::SHORTEST_BOUND
    pub fn with_deny_after(self, bound: Duration) -> Result<Self, BoundError> {
        self.guard.authorizer.revocations.require_bound("with_deny_after", bound)?;
        Ok(self.changed(|guard| guard.authorizer.checks.deny_after = Some(bound)))
    }

    /// Lets requests through while too little is known: before the history is read, and when the
    /// view is older than the bound. Each is counted by its cause, and
    /// [`Admitted::failed_open`](caracal_revocation_state::Admitted::failed_open) says it to the
    /// service. Never what is known to be revoked.
    pub fn fail_open_unknown(self) -> Self {
        self.changed(|guard| guard.authorizer.checks.fail_open_unknown = true)
    }

    /// Says how to cut what is already running, and what to spare.
    pub fn with_cutting(self, cutting: CutOptions) -> Self {
        self.changed(|guard| guard.cutting = cutting)
    }

    /// Answers every request over HTTP/2 in gRPC's terms: status 200, with the denial in
    /// `grpc-status`. For a service that speaks nothing but gRPC.
    ///
    /// By default only an HTTP/2 `POST` with `te: trailers` and a content type of gRPC is answered
    /// so. A proxy that strips `te` turns a call into a plain request. Its client then gets the
    /// HTTP status, which gRPC maps to its own.
    ///
    /// Do not choose this for a service that a proxy asks for a decision: the proxy takes status
    /// 200 for a yes.
    pub fn grpc_only(self) -> Self {
        self.changed(|guard| guard.grpc_only = true)
    }

    /// Names the address of this service's OAuth metadata in the challenge of each answer 401 and
    /// 403, as `resource_metadata` (RFC 9728): clients of MCP find their authorization server there.
    /// The service itself serves the document, outside of this layer.
    ///
    /// ```
    /// # use caracal_revocation_layer::ResourceMetadataError;
    /// # fn example(layer: caracal_revocation_layer::GatewayLayer) -> Result<(), ResourceMetadataError> {
    /// let url = "https://api.example/.well-known/oauth-protected-resource/mcp";
    /// let layer = layer.with_resource_metadata(url)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ResourceMetadataError`] unless it is an absolute URL of `https` (or `http`, while developing)
    /// without user or fragment.
    pub fn with_resource_metadata(self, url: &str) -> Result<Self, ResourceMetadataError> {
        let url = metadata_url(url)?;
        Ok(self.changed(|guard| guard.resource_metadata = Some(url)))
    }

    /// Refuses and cuts nothing: each outcome is counted, logged, and left to the service as an
    /// [`Observed`](crate::Observed) in the request's extensions. A request that would be denied
    /// gets no `Admission` here, and keeps the identity that it came with.
    pub fn insecure_observe_only(self) -> Self {
        self.changed(|guard| guard.observe_only = true)
    }

    fn changed(self, change: impl FnOnce(&mut Guard)) -> Self {
        Self { guard: Guard::changed(self.guard, change) }
    }
}

impl<S> Layer<S> for GatewayLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, &self.guard)
    }
}
