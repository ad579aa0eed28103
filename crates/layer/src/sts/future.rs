//! The response future: reads the body within its limits, then calls the STS or denies.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::body::BufferedBody;
use super::guard::Guard;
use crate::answer::Denial;
use crate::limits::MAX_FORM;
use crate::{GuardedResponseBody, RequestDenialKind, StsBody};

pin_project! {
    /// The future of an [`Sts`](crate::Sts).
    pub struct StsFuture<S, B>
    where
        S: Service<Request<StsBody<B>>>,
    {
        #[pin]
        kind: Kind<S, B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S, B>
    where
        S: Service<Request<StsBody<B>>>,
    {
        Inner { #[pin] future: S::Future },
        Denied { denial: Denial },
        Reading {
            #[pin]
            body: B,
            #[pin]
            deadline: Sleep,
            read: BufferedBody,
            pending: Option<PendingRequest<S>>,
        },
    }
}

/// The parts of a request that wait for its body.
struct PendingRequest<S> {
    parts: Parts,
    inner: S,
    guard: Arc<Guard>,
}

impl<S: Service<Request<StsBody<B>>>, B> StsFuture<S, B> {
    pub(super) const fn inner(future: S::Future) -> Self {
        Self { kind: Kind::Inner { future } }
    }

    pub(super) const fn denied(denial: Denial) -> Self {
        Self { kind: Kind::Denied { denial } }
    }

    pub(super) fn reading(parts: Parts, body: B, inner: S, guard: Arc<Guard>) -> Self {
        let deadline = sleep(guard.deadline);
        let pending = Some(PendingRequest { parts, inner, guard });
        Self { kind: Kind::Reading { body, deadline, read: BufferedBody::default(), pending } }
    }
}

impl<S, ReqBody, ResBody> Future for StsFuture<S, ReqBody>
where
    S: Service<Request<StsBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes>,
{
    type Output = Result<Response<GuardedResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.kind.as_mut().project() {
                KindProjection::Inner { future } => {
                    let response = ready!(future.poll(cx));
                    return Poll::Ready(
                        response.map(|response| response.map(GuardedResponseBody::inner)),
                    );
                }
                KindProjection::Denied { denial } => {
                    return Poll::Ready(Ok(denial.respond().map(GuardedResponseBody::complete)));
                }
                KindProjection::Reading { body, deadline, read, pending } => {
                    let outcome = match collect(body, read, cx) {
                        Poll::Ready(outcome) => outcome,
                        Poll::Pending => {
                            ready!(deadline.poll(cx));
                            Err(RequestDenialKind::StalledBody)
                        }
                    };
                    // `None` only after the service panicked in its call.
                    let Some(PendingRequest { parts, mut inner, guard }) = pending.take() else {
                        return Poll::Pending;
                    };
                    match guard.authorize(&parts.headers, outcome.map(|()| &*read.data)) {
                        Ok(()) => {
                            let body = StsBody::replayed(std::mem::take(read));
                            let request = Request::from_parts(parts, body);
                            Kind::Inner { future: inner.call(request) }
                        }
                        Err(denial) => Kind::Denied { denial },
                    }
                }
            };
            this.kind.set(next);
        }
    }
}

/// Reads to the end of the body or to the limit.
fn collect<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    read: &mut BufferedBody,
    cx: &mut Context<'_>,
) -> Poll<Result<(), RequestDenialKind>> {
    loop {
        match ready!(body.as_mut().poll_frame(cx)) {
            None => return Poll::Ready(Ok(())),
            Some(Err(_)) => return Poll::Ready(Err(RequestDenialKind::BrokenBody)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if read.data.len().saturating_add(data.len()) > MAX_FORM => {
                    return Poll::Ready(Err(RequestDenialKind::OversizedBody));
                }
                Ok(data) => read.data.extend_from_slice(&data),
                // Trailers are the last frame of a body.
                Err(frame) => {
                    read.trailers = frame.into_trailers().ok();
                    return Poll::Ready(Ok(()));
                }
            },
        }
    }
}

impl<S: Service<Request<StsBody<B>>>, B> fmt::Debug for StsFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StsFuture").finish_non_exhaustive()
    }
}
