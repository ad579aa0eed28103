//! Decides about requests that another proxy describes: the library's own layers around a service
//! that answers 200 with the identity.

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use caracal_revocation::gateway::{GuardedRequestBody, RequestDenialKind};
use caracal_revocation::{Admission, GatewayLayer};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::identity;
use crate::routes::{GuardBody, Routed, Routes};

/// A request that another proxy asks about: only its head. Its version is HTTP/1.1 and it has no
/// `TE`, so that no denial becomes a 200 of gRPC.
pub(crate) type Question = Request<()>;

/// Takes, as an extension of a question, the headers of an approval. The decision then goes on for
/// as long as the request may run: it resolves only to a denial, at once or when the request must be
/// cut.
#[derive(Clone, Debug)]
pub(crate) struct Approval(pub(crate) mpsc::Sender<HeaderMap>);

/// The `exp` of an admitted token, as an extension of its approval. Claims that were not verified
/// have none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expires(pub(crate) i64);

/// Answers questions. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Decider {
    routed: Arc<ArcSwap<Routed<()>>>,
    front: &'static str,
}

impl Decider {
    /// Creates a decider. `front` is the label of its metrics.
    pub(crate) fn new(front: &'static str, routes: &Routes) -> Self {
        let routed = Arc::new(ArcSwap::from_pointee(build(front, routes)));
        Self { routed, front }
    }

    /// Decides by these routes from here on.
    pub(crate) fn reload(&self, routes: &Routes) {
        self.routed.store(Arc::new(build(self.front, routes)));
    }

    /// Answers a question: 200 with the identity as headers, or the denial as status, headers and
    /// JSON.
    pub(crate) async fn decide(&self, question: Question) -> Response<GuardBody> {
        let routed = Routed::clone(&self.routed.load());
        answer(routed, question).await
    }

    /// Answers a question whose method and path are unknown. With routes in the configuration it is
    /// denied, because its route cannot be found.
    pub(crate) async fn decide_undescribed(&self, question: Question) -> Response<GuardBody> {
        let routed = Routed::clone(&self.routed.load());
        if routed.has_routes() {
            return routed.deny(RequestDenialKind::AmbiguousPath, &question);
        }
        answer(routed, question).await
    }

    /// Denies the question for a reason of the front itself.
    pub(crate) fn deny(&self, kind: RequestDenialKind, question: &Question) -> Response<GuardBody> {
        self.routed.load().deny(kind, question)
    }
}

async fn answer(routed: Routed<()>, question: Question) -> Response<GuardBody> {
    match routed.oneshot(question).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

fn build(front: &'static str, routes: &Routes) -> Routed<()> {
    let denying = GatewayLayer::new(routes.shared.revocations.clone()).with_front(front);
    let approve = tower::service_fn(move |question: Request<GuardedRequestBody<()>>| {
        let answer = approve(&denying, &question);
        async move {
            match question.extensions().get::<Approval>() {
                Some(Approval(approved)) if answer.status() == StatusCode::OK => {
                    // A front that is gone drops the decision too.
                    let _ = approved.send(answer.headers().clone()).await;
                    std::future::pending().await
                }
                _ => Ok::<_, Infallible>(answer),
            }
        }
    });
    Routed::new(routes, front, approve)
}

fn approve(
    denying: &GatewayLayer,
    question: &Request<GuardedRequestBody<()>>,
) -> Response<Full<Bytes>> {
    let Ok(headers) = identity::headers(question.extensions()) else {
        return denying.deny(RequestDenialKind::MalformedClaims, question).map(Full::new);
    };
    let mut answer = Response::new(Full::default());
    *answer.headers_mut() = headers;
    let claims = question.extensions().get::<Admission>().and_then(Admission::claims);
    if let Some(claims) = claims {
        answer.extensions_mut().insert(Expires(claims.exp));
    }
    answer
}

/// Returns a question with only the headers that decide: every `Authorization`, the request id and
/// nothing else.
pub(crate) fn question(method: http::Method, uri: http::Uri, described: &HeaderMap) -> Question {
    let mut question = Request::new(());
    *question.method_mut() = method;
    *question.uri_mut() = uri;
    let headers = question.headers_mut();
    for name in [http::header::AUTHORIZATION, http::HeaderName::from_static("x-request-id")] {
        for value in described.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    question
}
