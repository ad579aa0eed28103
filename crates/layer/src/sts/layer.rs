//! The layer in front of a token endpoint.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{BoundError, Revocations};
use tower_layer::Layer;

use super::guard::Guard;
use crate::Sts;

/// Guards the STS: a token request that names revoked authority is refused.
///
/// A token request is every `POST` with a form as its body, wherever the layer stands: around a
/// whole service, in a `nest` of axum's, or on one route. A body that could be taken for a form
/// counts as one: of no content type, of several, or `multipart/form-data`. At the token endpoint
/// (`/oauth/2/token`, with or without its beginning) every `POST` counts. Other requests pass
/// untouched.
///
/// Authority is looked for in `session_id`, `agent_session_id`, `delegation_edge_id` and the
/// claims of `subject_token`, unless that is an identity token
/// (`urn:ietf:params:oauth:token-type:id_token`). Token requests pass if
///
/// 1. their body is `application/x-www-form-urlencoded`, in UTF-8 and not compressed, of at most
///    64 KiB, and here within ten seconds;
/// 2. it can be read in one way only: none of these fields stands twice or under a name that is
///    nearly its own, no escape is broken, and there is no query beside it;
/// 3. nothing is known against what it names, in a state that is fresh enough. The horizon does
///    not apply: the STS decides from Caracal's own records. Nor does the token's lifetime, which
///    the STS checks on the same token.
///
/// A token request that names no authority has none that could be revoked: it passes even while
/// the state is unknown.
///
/// The body is replayed to the service behind as it came. Its signature is not checked here: the
/// STS does that, and a forged token can only be refused, not let through, for what it names.
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
    /// A layer that asks this state. Install a metrics recorder before making it.
    pub fn new(revocations: Revocations) -> Self {
        Self { guard: Guard::new(revocations) }
    }

    /// The token endpoint, instead of `/oauth/2/token`: there a `POST` of any other content type
    /// than a form's is denied, too. Forms are read at every path.
    pub fn with_path(mut self, path: &str) -> Self {
        self.guard.path = path.into();
        self
    }

    /// Refuses, as an outage, when the view is older than this: for routes that ask for less than
    /// the service's own bound. A larger bound changes nothing.
    ///
    /// # Errors
    ///
    /// [`BoundError`] when it is shorter than [`Options::SHORTEST_BOUND`], which nobody can keep.
    ///
    /// [`Options::SHORTEST_BOUND`]: caracal_revocation_state::Options::SHORTEST_BOUND
    pub fn with_deny_after(mut self, bound: Duration) -> Result<Self, BoundError> {
        self.guard.revocations.require_bound("with_deny_after", bound)?;
        self.guard.checks.deny_after = Some(bound);
        Ok(self)
    }

    /// Lets requests through while too little is known: before the history is read, and when the
    /// view is older than the bound. Each is counted by its cause. Never what is known to be revoked.
    pub fn fail_open_unknown(mut self) -> Self {
        self.guard.checks.fail_open_unknown = true;
        self
    }

    /// How long a body may take to arrive; 10 seconds by default.
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
