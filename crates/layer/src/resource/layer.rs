//! The layer of a resource server: its requirements, and its options.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_mandate::{Requirements, SubjectType, Verifier};
use caracal_revocation_state::BoundError;
use tower_layer::Layer;

use crate::answer::Profile;
use crate::challenge::metadata_url;
use crate::guarded::Guard;
use crate::{CutOptions, Guarded, ResourceMetadataError};

/// Guards a resource server: only requests with a verified mandate that is not revoked and meets
/// the requirements reach it.
///
/// A request passes if:
///
/// 1. it has one `Authorization` header, with a bearer token of at most 4096 bytes;
/// 2. the [`Verifier`] accepts the token as a mandate of its zone;
/// 3. the revocation state is fresh enough and admits the mandate; its delegation epoch is not
///    stale (unless [`without_delegation_epoch`] is set);
/// 4. the mandate meets the requirements of this layer: by default, at most ten hops.
///
/// The request then carries the [`Mandate`], which is an extractor for axum, and an `Admission`:
/// the proof, and the identity that was decided on. The layer removes any other identity from the
/// extensions. Requirements belong to a layer, so give each route its own layer. These layers share
/// the keys and the cache of the verifier:
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
/// They follow the contract (section "Answers"):
///
/// | status | `error` | when |
/// |---|---|---|
/// | 401 | `missing_token` | there is no bearer token |
/// | 401 | `invalid_token` | the token is no mandate for this service, or must be refreshed (`Retry-After`) |
/// | 401 | `invalid_zone` | the mandate is of another zone |
/// | 401 | `session_revoked` | the authority of the mandate is revoked or suspended |
/// | 401 | `delegation_stale` | the zone's delegation graph changed after the mandate was issued |
/// | 403 | `insufficient_scope` | a scope or target is missing, or the subject is of another type |
/// | 403 | `session_required`, `delegation_required`, `chain_mismatch`, `hop_count_exceeded` | the route requires more |
/// | 503 | `sts_unavailable` | the state or the keys are unknown: an outage, not a revoked session |
///
/// [`Mandate`]: caracal_revocation_mandate::Mandate
/// [`without_delegation_epoch`]: Self::without_delegation_epoch
#[derive(Clone, Debug)]
#[must_use]
pub struct ResourceLayer {
    guard: Arc<Guard>,
}

impl ResourceLayer {
    /// Creates a layer that verifies tokens with `verifier`, and decides with the revocation state
    /// of that verifier. Install a metrics recorder first: the layer registers its counters here.
    pub fn new(verifier: Verifier) -> Self {
        let mut guard = Guard::new(verifier.revocations().clone(), Profile::Resource);
        guard.authorizer.checks.delegation_epoch = true;
        guard.authorizer.requirements = Requirements::new();
        guard.authorizer.verifier = Some(verifier);
        Self { guard: Arc::new(guard) }
    }

    /// Replaces all requirements of this layer with these.
    pub fn require(self, requirements: Requirements) -> Self {
        self.changed(|guard| guard.authorizer.requirements = requirements)
    }

    /// Adds a required scope: a word of the claim `scope`.
    pub fn require_scope(self, scope: &str) -> Self {
        self.requiring(|requirements| requirements.scope(scope))
    }

    /// Adds a required target: an entry of the claim `target`.
    pub fn require_target(self, target: &str) -> Self {
        self.requiring(|requirements| requirements.target(target))
    }

    /// Requires a governed session.
    pub fn require_session(self) -> Self {
        self.requiring(Requirements::session)
    }

    /// Requires a delegation.
    pub fn require_delegation(self) -> Self {
        self.requiring(Requirements::delegation)
    }

    /// Adds an application that the delegation chain must contain.
    pub fn require_chain_contains(self, application: &str) -> Self {
        self.requiring(|requirements| requirements.chain_contains(application))
    }

    /// Requires this type of subject.
    pub fn require_subject_type(self, subject_type: SubjectType) -> Self {
        self.requiring(|requirements| requirements.subject_type(subject_type))
    }

    /// Sets the largest number of delegation hops; 10 by default.
    pub fn max_hops(self, hops: u32) -> Self {
        self.requiring(|requirements| requirements.max_hops(hops))
    }

    /// Lets requests through that have no `Authorization` header. The requirements of this layer
    /// then apply only to requests with a mandate. In axum's handlers, `Option<Mandate>` is `None`
    /// only for anonymous requests.
    pub fn allow_anonymous(self) -> Self {
        self.changed(|guard| guard.authorizer.allow_anonymous = true)
    }

    /// Treats older tokens as stale only after a delegation ended, not after one was created.
    pub fn only_ended_delegations(self) -> Self {
        self.changed(|guard| guard.authorizer.checks.ended_delegations_only = true)
    }

    /// Ignores the zone's delegation epoch.
    pub fn without_delegation_epoch(self) -> Self {
        self.changed(|guard| guard.authorizer.checks.delegation_epoch = false)
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
    /// # fn example(layer: caracal_revocation_layer::ResourceLayer) -> Result<(), ResourceMetadataError> {
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
