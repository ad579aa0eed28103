//! The response future: waits for a pending decision, then for the service's response, or returns
//! the denial.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use caracal_revocation_opa::{BoxFuture, DecisionError, PolicyDecision};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::guard::{Guard, require_allow};
use crate::GuardedResponseBody;

pin_project! {
    /// The future of a [`PolicyGuard`](crate::PolicyGuard).
    pub struct PolicyFuture<S, R, F> {
        #[pin]
        kind: Kind<S, R, F>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S, R, F> {
        Deciding {
            decision: BoxFuture<'static, Result<PolicyDecision, DecisionError>>,
            waiting: Option<Waiting<S, R>>,
        },
        Inner { #[pin] future: F },
        Denied { response: Option<Response<Bytes>> },
    }
}

/// A request that waits for a decision.
struct Waiting<S, R> {
    guard: Arc<Guard>,
    service: S,
    request: R,
}

impl<S, R, F> PolicyFuture<S, R, F> {
    pub(super) const fn inner(future: F) -> Self {
        Self { kind: Kind::Inner { future } }
    }

    pub(super) const fn denied(response: Response<Bytes>) -> Self {
        Self { kind: Kind::Denied { response: Some(response) } }
    }

    pub(super) const fn deciding(
        decision: BoxFuture<'static, Result<PolicyDecision, DecisionError>>,
        guard: Arc<Guard>,
        service: S,
        request: R,
    ) -> Self {
        let waiting = Some(Waiting { guard, service, request });
        Self { kind: Kind::Deciding { decision, waiting } }
    }
}

impl<S, ReqBody, ResBody> Future for PolicyFuture<S, Request<ReqBody>, S::Future>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<GuardedResponseBody<ResBody>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.kind.as_mut().project() {
                KindProjection::Inner { future } => {
                    let response = ready!(future.poll(cx));
                    return Poll::Ready(
                        response.map(|response| response.map(GuardedResponseBody::inner)),
                    );
                }
                KindProjection::Denied { response } => {
                    // A future that was ready is not polled again.
                    let Some(response) = response.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(response.map(GuardedResponseBody::complete)));
                }
                KindProjection::Deciding { decision, waiting } => {
                    let decision = ready!(decision.as_mut().poll(cx));
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    waiting.resume(decision)
                }
            };
            this.kind.set(next);
        }
    }
}

impl<S, ReqBody, ResBody> Waiting<S, Request<ReqBody>>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    fn resume(
        mut self,
        decision: Result<PolicyDecision, DecisionError>,
    ) -> Kind<S, Request<ReqBody>, S::Future> {
        match require_allow(decision) {
            Ok(decision) => {
                self.request.extensions_mut().insert(decision);
                Kind::Inner { future: self.service.call(self.request) }
            }
            Err(rejection) => {
                Kind::Denied { response: Some(self.guard.deny(rejection, &self.request)) }
            }
        }
    }
}

impl<S, R, F> std::fmt::Debug for PolicyFuture<S, R, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PolicyFuture")
    }
}
