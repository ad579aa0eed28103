//! The resource server's layer.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_mandate::{Requirements, SubjectType, Verifier};
use caracal_revocation_state::BoundError;
use tower_layer::Layer;

use crate::answer::Profile;
use crate::challenge::metadata_url;
use crate::guarded::Guard;
use crate::{CutOptions, Guarded, ResourceMetadataError};

/// Guards a service of a resource server: only requests with a verified mandate that stands, and
/// holds what is required, reach it.
///
/// Requests pass if
///
/// 1. they have one `Authorization` header, with a bearer token of at most 4096 bytes;
/// 2. the [`Verifier`] takes the token for a mandate of its zone;
/// 3. nothing is known against it, in a state that is fresh enough; nor is its delegation epoch
///    stale (unless [`without_delegation_epoch`]);
/// 4. it holds all that is required here, which by default is at most ten hops.
///
/// The request then carries the [`Mandate`], which is an extractor for axum, and an `Admission`:
/// the proof, and the identity that was decided on. Any other identity that was left in its
/// extensions is removed. Requirements belong to the layer, so routes are given layers of their own; they
/// share what the verifier knows:
///
/// ```
/// use bytes::Bytes;
/// use caracal_revocation_layer::{GuardedRequestBody, ResourceLayer};
/// use caracal_revocation_mandate::{ConfigError, Verifier};
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # type Never = std::convert::Infallible;
/// # async fn read(_: Request<GuardedRequestBody<()>>) -> Result<Response<Full<Bytes>>, Never> { Ok(Response::default()) }
/// # async fn write(_: Request<GuardedRequestBody<()>>) -> Result<Response<Full<Bytes>>, Never> { Ok(Response::default()) }
/// # async fn example(verifier: Verifier) -> Result<(), Never> {
/// let resource = ResourceLayer::new(verifier);
/// let reading = resource.clone().require_scope("orders:read").layer(service_fn(read));
/// let writing = resource.require_scope("orders:write").require_session().layer(service_fn(write));
///
/// let response = reading.oneshot(Request::new(())).await?;
/// assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
/// # let _ = writing;
/// # Ok(())
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let revocations = caracal_revocation_state::RevocationsWriter::new(Default::default()).reader();
/// # let verifier = Verifier::builder("http://localhost", "z-1", "a")
/// #     .with_crypto(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER)
/// #     .build(&revocations)?;
/// # example(verifier).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Answers
///
/// | status | `error` | when |
/// |---|---|---|
/// | 401 | `missing_token` | there is no bearer token |
/// | 401 | `invalid_token` | it is no mandate for this service, or must be refreshed (`Retry-After`) |
/// | 401 | `invalid_zone` | it is of another zone |
/// | 401 | `session_revoked` | its authority was revoked or suspended |
/// | 401 | `delegation_stale` | the zone's delegation graph has moved on |
/// | 403 | `insufficient_scope` | a scope or target is missing, or it is about another type of subject |
/// | 403 | `session_required`, `delegation_required`, `chain_mismatch`, `hop_count_exceeded` | the route asks for more |
/// | 503 | `sts_unavailable` | state or keys are not known: an outage, which no client should take for a revoked session |
///
/// [`Mandate`]: caracal_revocation_mandate::Mandate
/// [`without_delegation_epoch`]: Self::without_delegation_epoch
#[derive(Clone, Debug)]
#[must_use]
pub struct ResourceLayer {
    guard: Arc<Guard>,
}

impl ResourceLayer {
    /// A layer that verifies with `verifier`, and asks the state that it was made with. Install a
    /// metrics recorder before making it.
    pub fn new(verifier: Verifier) -> Self {
        let mut guard = Guard::new(verifier.revocations().clone(), Profile::Resource);
        guard.authorizer.checks.delegation_epoch = true;
        guard.authorizer.requirements = Requirements::new();
        guard.authorizer.verifier = Some(verifier);
        Self { guard: Arc::new(guard) }
    }

    /// Requires all of this, in place of what was required before.
    pub fn require(self, requirements: Requirements) -> Self {
        self.changed(|guard| guard.authorizer.requirements = requirements)
    }

    /// Also requires this word in `scope`.
    pub fn require_scope(self, scope: &str) -> Self {
        self.requiring(|requirements| requirements.scope(scope))
    }

    /// Also requires this entry of `target`.
    pub fn require_target(self, target: &str) -> Self {
        self.requiring(|requirements| requirements.target(target))
    }

    /// Also requires a governed session.
    pub fn require_session(self) -> Self {
        self.requiring(Requirements::session)
    }

    /// Also requires a delegation.
    pub fn require_delegation(self) -> Self {
        self.requiring(Requirements::delegation)
    }

    /// Also requires this application in the delegation chain.
    pub fn require_chain_contains(self, application: &str) -> Self {
        self.requiring(|requirements| requirements.chain_contains(application))
    }

    /// Also requires this type of subject.
    pub fn require_subject_type(self, subject_type: SubjectType) -> Self {
        self.requiring(|requirements| requirements.subject_type(subject_type))
    }

    /// At most so many hops; 10 by default.
    pub fn max_hops(self, hops: u32) -> Self {
        self.requiring(|requirements| requirements.max_hops(hops))
    }

    /// Lets only delegations that ended make older tokens stale, not those that were created.
    pub fn only_ended_delegations(self) -> Self {
        self.changed(|guard| guard.authorizer.checks.ended_delegations_only = true)
    }

    /// Leaves out the zone's delegation epoch.
    pub fn without_delegation_epoch(self) -> Self {
        self.changed(|guard| guard.authorizer.checks.delegation_epoch = false)
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
    /// # fn example(layer: caracal_revocation_layer::ResourceLayer) -> Result<(), ResourceMetadataError> {
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

    fn requiring(self, add: impl FnOnce(Requirements) -> Requirements) -> Self {
        self.changed(|guard| {
            let requirements = std::mem::take(&mut guard.authorizer.requirements);
            guard.authorizer.requirements = add(requirements);
        })
    }

    fn changed(self, change: impl FnOnce(&mut Guard)) -> Self {
        Self { guard: Guard::changed(self.guard, change) }
    }
}

impl<S> Layer<S> for ResourceLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, &self.guard)
    }
}
