//! The layer of a gateway: its sources of identity, and its options.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation_mandate::{Requirements, Verifier};
use caracal_revocation_state::{BoundError, Revocations, UseRecord};
use http::{Request, Response};
use tower_layer::Layer;

use crate::answer::Profile;
use crate::challenge::metadata_url;
use crate::guarded::Guard;
use crate::{CutOptions, Guarded, RequestDenialKind, ResourceMetadataError};

/// Guards a service: only requests whose authority is not revoked reach it.
///
/// The crate's documentation has an example. A request passes if:
///
/// 1. it has at most one `Authorization` header, and no bearer token over 4096 bytes;
/// 2. its identity is known, from one of the sources below;
/// 3. [`Revocations::decide`] admits this identity now;
/// 4. its mandate was not used before, if [`with_single_use`](Self::with_single_use) is set.
///
/// The identity comes from the first of these sources that applies:
///
/// 1. the layer's own verifier, if it has one (see [`with_verifier`]);
/// 2. the [`Admission`] of an outer layer with the same [`Revocations`];
/// 3. the [`Claims`], or their [`Authority`], that an outer layer left in the extensions after it
///    verified the token. If both are there, they must belong to the same token;
/// 4. the unverified token, only with [`with_insecure_unverified_claims`].
///
/// With [`allow_anonymous`], a request with neither identity nor `Authorization` header passes too.
///
/// A request that was admitted on an identity carries an [`Admission`] in its extensions: the proof
/// and the identity. The layer moves `Claims` and `Authority` into it, and removes those that
/// another layer left, so that inner layers and handlers read the identity in one place.
///
/// Without a verifier of its own, this layer must be inside the layer that verifies tokens. With
/// axum's `Router::layer`, add the verifying layer after this one.
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
    /// Creates a layer that decides with this state. Install a metrics recorder first: the layer
    /// registers its counters here.
    pub fn new(revocations: Revocations) -> Self {
        Self { guard: Arc::new(Guard::new(revocations, Profile::Gateway)) }
    }

    /// Verifies tokens in this layer, and puts the [`Mandate`] into the request's extensions.
    /// [`Claims`] that another layer left there are then ignored.
    ///
    /// A gateway's verifier accepts mandates of `Use::Gateway`; see `VerifierBuilder::with_uses`.
    ///
    /// [`Claims`]: caracal_revocation_state::Claims
    /// [`Mandate`]: caracal_revocation_mandate::Mandate
    pub fn with_verifier(self, verifier: Verifier) -> Self {
        self.changed(|guard| guard.authorizer.verifier = Some(verifier))
    }

    /// Requires this of each mandate that the layer's verifier accepts; by default nothing. Has no
    /// effect without a verifier of this layer.
    pub fn require(self, requirements: Requirements) -> Self {
        self.changed(|guard| guard.authorizer.requirements = requirements)
    }

    /// Reads the claims of a bearer token without verifying it, if the extensions hold no claims.
    ///
    /// A client can then write a token with claims that were never revoked. This is secure only if
    /// the service behind verifies the same token. The [`Admission`] then carries no identity: an
    /// inner policy layer denies the request, and an inner gateway layer decides as if there were
    /// no admission.
    ///
    /// [`Admission`]: caracal_revocation_state::Admission
    pub fn with_insecure_unverified_claims(self) -> Self {
        self.changed(|guard| guard.authorizer.unverified_claims = true)
    }

    /// Lets requests through that have neither claims nor an `Authorization` header. A header of
    /// another scheme than `Bearer`, or an empty one, is still denied: the service behind could
    /// read it differently. In axum's handlers, `Option<Mandate>` is `None` only for anonymous
    /// requests.
    pub fn allow_anonymous(self) -> Self {
        self.changed(|guard| guard.authorizer.allow_anonymous = true)
    }

    /// Ignores the hops of `delegation_chain` and `delegation_path`. A token is then admitted even
    /// if a session or delegation of its chain is revoked.
    pub fn without_chain(self) -> Self {
        self.changed(|guard| guard.authorizer.checks.chain = false)
    }

    /// Denies requests as an outage (503) while the view is older than `bound`: for routes that
    /// need a fresher view than the rest of the service. A bound above the service's own changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`BoundError`] if `bound` is shorter than [`Options::SHORTEST_BOUND`], the shortest bound
    /// that a view can keep.
    ///
    /// [`Options::SHORTEST_BOUND`]: caracal_revocation_state::Options::SHORTEST_BOUND
    pub fn with_deny_after(self, bound: Duration) -> Result<Self, BoundError> {
        self.guard.authorizer.revocations.require_bound("with_deny_after", bound)?;
        Ok(self.changed(|guard| guard.authorizer.checks.deny_after = Some(bound)))
    }

    /// Admits requests while the state is unknown: before the history is read, and while the view
    /// is older than the bound. Authority that is known to be revoked is still denied. The layer
    /// counts each such request by its cause, and
    /// [`Admitted::failed_open`](caracal_revocation_state::Admitted::failed_open) returns the cause
    /// to the service.
    pub fn fail_open_unknown(self) -> Self {
        self.changed(|guard| guard.authorizer.checks.fail_open_unknown = true)
    }

    /// Admits mandates of `use` `gateway` and `resource` once in the whole fleet (contract, "Single
    /// use"). Mandates of `use` `session` are exempt.
    ///
    /// The mandate must be verified: by this layer's verifier, or by an outer layer that leaves it
    /// in the extensions. Any other token is denied (401). Requests without a token, where they are
    /// allowed, are not affected.
    ///
    /// The use is recorded last, so a request that another check of this layer denies is not
    /// recorded, and a revoked mandate costs no round trip. The layer then decides once more, and
    /// calls the service. The answer to a repeated use is 401 `invalid_token`. While the record
    /// cannot be asked, it is 503 `sts_unavailable`, and the mandate may count as used.
    ///
    /// - Each use counts. A proxy must not retry a request, and must not ask twice about one: for
    ///   example with `ext_authz` and `ext_proc` of Envoy.
    /// - A request that an inner layer denies, such as a policy layer, has used its mandate.
    /// - Caracal's own Gateway uses the same record. Do not choose this in front of it.
    /// - With [`insecure_observe_only`](Self::insecure_observe_only) nothing is recorded.
    ///
    /// `UsedMandates` of `caracal-revocation-stream` keeps the record in Redis.
    pub fn with_single_use(self, record: impl UseRecord) -> Self {
        self.changed(|guard| guard.single_use.record = Some(Arc::new(record)))
    }

    /// Admits mandates while the record of used mandates cannot be asked. A mandate can then be
    /// replayed. Counts these requests under `caracal_gateway_failed_open_total`, with the cause
    /// `use_unknown`. Has no effect without [`with_single_use`](Self::with_single_use).
    pub fn insecure_fail_open_single_use(self) -> Self {
        self.changed(|guard| guard.single_use.fail_open = true)
    }

    /// Adds the label `front` with this value to the counters and log events of this layer: the
    /// name of the proxy or listener that the request came through. Install a metrics recorder
    /// first.
    pub fn with_front(self, front: &'static str) -> Self {
        self.changed(|guard| guard.set_front(front))
    }

    /// Sets the options for cutting running requests.
    pub fn with_cutting(self, cutting: CutOptions) -> Self {
        self.changed(|guard| guard.cutting = cutting)
    }

    /// Answers every denied HTTP/2 request as a gRPC call: status 200, with the denial in
    /// `grpc-status`. Choose it for a service that has only gRPC methods.
    ///
    /// By default only an HTTP/2 `POST` with `te: trailers` and a gRPC content type is answered in
    /// this way. A proxy that strips `te` makes a call look like a plain request. Its client then
    /// gets the HTTP status, which gRPC maps to a code.
    ///
    /// Do not choose this for a service that a proxy asks for a decision: the proxy treats status
    /// 200 as an approval.
    pub fn grpc_only(self) -> Self {
        self.changed(|guard| guard.grpc_only = true)
    }

    /// Adds the address of this service's OAuth metadata to the challenge of each answer 401 and
    /// 403, as `resource_metadata` (RFC 9728). MCP clients find their authorization server there.
    /// The service itself serves the document, outside this layer.
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
    /// [`ResourceMetadataError`] unless `url` is an absolute `https` URL (or `http`, for
    /// development) without user or fragment.
    pub fn with_resource_metadata(self, url: &str) -> Result<Self, ResourceMetadataError> {
        let url = metadata_url(url)?;
        Ok(self.changed(|guard| guard.resource_metadata = Some(url)))
    }

    /// Denies and cuts nothing. The layer counts and logs each outcome, and puts it into the
    /// request's extensions as an [`Observed`](crate::Observed). A request that would be denied
    /// gets no `Admission` from this layer, and keeps the identity that it came with.
    pub fn insecure_observe_only(self) -> Self {
        self.changed(|guard| guard.observe_only = true)
    }

    /// Returns the response of a gateway to a request that is denied for this reason. Counts and
    /// logs it as the layer's own denials. For a service that denies requests before this layer,
    /// such as those without a route.
    pub fn deny<B>(&self, kind: RequestDenialKind, request: &Request<B>) -> Response<Bytes> {
        self.guard.deny(&kind.into(), request).respond()
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
