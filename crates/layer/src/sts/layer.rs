//! The layer in front of a token endpoint: the requests that it reads, and its options.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{BoundError, Revocations};
use tower_layer::Layer;

use super::guard::Guard;
use crate::Sts;

/// Guards the STS: denies token requests that name revoked authority.
///
/// These requests are token requests (RFC 8693; contract, "Token exchange"); all others pass
/// unread:
///
/// - every `POST` with a form as its body, at any path. The layer can wrap a whole service, an axum
///   `nest` or one route;
/// - every `POST` whose body could be read as a form: with no content type, several of them, or
///   `multipart/form-data`;
/// - every `POST` to the token endpoint: `/oauth/2/token`, with a prefix or without its first
///   segments.
///
/// A token request names authority in `session_id`, `agent_session_id`, `delegation_edge_id` and
/// the claims of `subject_token`. An identity token
/// (`urn:ietf:params:oauth:token-type:id_token`) names none. A token request passes if:
///
/// 1. its body is `application/x-www-form-urlencoded`, in UTF-8, not compressed, has at most
///    64 KiB, and arrives within ten seconds;
/// 2. it has only one reading: none of these fields is repeated, no other field has nearly the same
///    name, no escape is broken, and the URL has no query;
/// 3. the state is fresh enough, and the named authority is not revoked or suspended. The layer
///    checks neither the horizon nor the lifetime of the token: the STS decides from Caracal's own
///    records, and checks the lifetime of the same token.
///
/// A token request that names no authority passes even while the state is unknown.
///
/// The service behind gets the body unchanged. The layer does not check the signature of
/// `subject_token`: the STS does. A client with a forged token can only get its own request
/// denied.
///
/// ```
/// use bytes::Bytes;
/// use caracal_revocation_layer::StsLayer;
/// use caracal_revocation_state::{Options, RevocationsWriter};
/// use http::{Request, Response, StatusCode};
/// use http_body_util::{BodyExt, Full};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let writer = RevocationsWriter::new(Options::default());
/// writer.confirm(writer.now());
/// let sts = StsLayer::new(writer.reader()).layer(service_fn(
///     async |request: Request<caracal_revocation_layer::StsBody<Full<Bytes>>>| {
///         let body = request.into_body().collect().await?.to_bytes();
///         assert_eq!(body, "session_id=ar-1");
///         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("token")))
///     },
/// ));
/// let request = Request::post("/oauth/2/token")
///     .header("content-type", "application/x-www-form-urlencoded")
///     .body(Full::<Bytes>::from("session_id=ar-1"))?;
/// assert_eq!(sts.oneshot(request).await?.status(), StatusCode::OK);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct StsLayer {
    guard: Guard,
}

impl StsLayer {
    /// Creates a layer that decides with this state. Install a metrics recorder first: the layer
    /// registers its counters here.
    pub fn new(revocations: Revocations) -> Self {
        Self { guard: Guard::new(revocations) }
    }

    /// Sets the path of the token endpoint, instead of `/oauth/2/token`. The layer denies every
    /// `POST` there that is not a form. It reads forms at every path.
    pub fn with_path(mut self, path: &str) -> Self {
        self.guard.path = path.into();
        self
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
    pub fn with_deny_after(mut self, bound: Duration) -> Result<Self, BoundError> {
        self.guard.revocations.require_bound("with_deny_after", bound)?;
        self.guard.checks.deny_after = Some(bound);
        Ok(self)
    }

    /// Lets token requests through while the state is unknown: before the history is read, and
    /// while the view is older than the bound. Authority that is known to be revoked is still
    /// denied. The layer counts each such request by its cause.
    pub fn fail_open_unknown(mut self) -> Self {
        self.guard.checks.fail_open_unknown = true;
        self
    }

    /// Sets the time that a body may take to arrive; 10 seconds by default.
    pub fn with_body_deadline(mut self, deadline: Duration) -> Self {
        self.guard.deadline = deadline;
        self
    }
}

impl<S> Layer<S> for StsLayer {
    type Service = Sts<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Sts { inner, guard: Arc::new(self.guard.clone()) }
    }
}
