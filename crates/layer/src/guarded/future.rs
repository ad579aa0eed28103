//! The response to come: the service's, or the refusal, or first what a verifier says.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::guard::{Denial, Guard};
use super::judge::Verification;
use crate::GuardedBody;
use crate::answer::respond;

pin_project! {
    /// The future of a [`Guarded`](crate::Guarded) service.
    pub struct GuardedFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        kind: Kind<S, B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S, B>
    where
        S: Service<Request<B>>,
    {
        Inner { #[pin] future: S::Future },
        Denied { denial: Denial },
        Verifying { waiting: Option<Waiting<S, B>> },
    }
}

/// What waits for a verifier that has to fetch keys, or to check a signature for the first time.
struct Waiting<S, B> {
    verification: Verification,
    request: Request<B>,
    inner: S,
    guard: Arc<Guard>,
}

impl<S: Service<Request<B>>, B> GuardedFuture<S, B> {
    pub(super) const fn inner(future: S::Future) -> Self {
        Self { kind: Kind::Inner { future } }
    }

    pub(super) const fn denied(denial: Denial) -> Self {
        Self { kind: Kind::Denied { denial } }
    }

    pub(super) fn verifying(
        verification: Verification,
        request: Request<B>,
        inner: S,
        guard: Arc<Guard>,
    ) -> Self {
        let waiting = Some(Waiting { verification, request, inner, guard });
        Self { kind: Kind::Verifying { waiting } }
    }
}

impl<S, ReqBody, ResBody> Future for GuardedFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<GuardedBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.kind.as_mut().project() {
                KindProjection::Inner { future } => {
                    let response = ready!(future.poll(cx));
                    return Poll::Ready(response.map(|response| response.map(GuardedBody::inner)));
                }
                KindProjection::Denied { denial } => {
                    return Poll::Ready(Ok(respond(denial).map(GuardedBody::refusal)));
                }
                KindProjection::Verifying { waiting } => {
                    let verified = match waiting {
                        Some(waiting) => ready!(waiting.verification.as_mut().poll(cx)),
                        // Only after the service panicked in its call.
                        None => return Poll::Pending,
                    };
                    let Some(Waiting { mut request, mut inner, guard, .. }) = waiting.take() else {
                        return Poll::Pending;
                    };
                    match guard.conclude(&mut request, verified) {
                        Ok(()) => Kind::Inner { future: inner.call(request) },
                        Err(denial) => Kind::Denied { denial },
                    }
                }
            };
            this.kind.set(next);
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for GuardedFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedFuture").finish_non_exhaustive()
    }
}
