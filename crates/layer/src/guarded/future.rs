//! The response future: waits for the decision, then for the service's response, or returns the
//! denial.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use caracal_revocation_state::Cut;
use http::{Request, Response, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::authorizer::PendingStep;
use super::decision::GuardDecision;
use super::guard::Guard;
use super::held::Held;
use super::request_context::RequestContext;
use super::termination::{Delimited, delimited};
use super::turn::end_turn;
use crate::answer::Denial;
use crate::{GuardedRequestBody, GuardedResponseBody};

pin_project! {
    /// The future of a [`Guarded`](crate::Guarded) service.
    pub struct GuardedFuture<S, B, R>
    where
        S: Service<Request<GuardedRequestBody<B>>>,
    {
        #[pin]
        kind: Kind<S, B, R>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S, B, R>
    where
        S: Service<Request<GuardedRequestBody<B>>>,
    {
        Inner { #[pin] future: S::Future, context: Option<RequestContext> },
        Held { held: Pin<Box<Held<R>>> },
        Denied { denial: Box<Denial> },
        Waiting { waiting: Option<Waiting<S, B>> },
    }
}

/// A request whose decision waits for a step.
struct Waiting<S, B> {
    step: PendingStep,
    request: Request<B>,
    inner: S,
    guard: Arc<Guard>,
}

impl<S: Service<Request<GuardedRequestBody<B>>>, B, R> GuardedFuture<S, B, R> {
    pub(super) fn call(
        inner: &mut S,
        request: Request<B>,
        context: Option<RequestContext>,
    ) -> Self {
        Self { kind: Kind::call(inner, request, context) }
    }

    pub(super) const fn denied(denial: Box<Denial>) -> Self {
        Self { kind: Kind::Denied { denial } }
    }

    pub(super) fn waiting(
        step: PendingStep,
        request: Request<B>,
        inner: S,
        guard: Arc<Guard>,
    ) -> Self {
        let waiting = Some(Waiting { step, request, inner, guard });
        Self { kind: Kind::Waiting { waiting } }
    }
}

impl<S: Service<Request<GuardedRequestBody<B>>>, B, R> Kind<S, B, R> {
    fn call(inner: &mut S, request: Request<B>, context: Option<RequestContext>) -> Self {
        let running = context.as_ref().map(|context| context.running.clone());
        let request = request.map(|body| GuardedRequestBody::new(body, running));
        Self::Inner { future: inner.call(request), context }
    }
}

impl<S, ReqBody, ResBody> Future for GuardedFuture<S, ReqBody, ResBody>
where
    S: Service<Request<GuardedRequestBody<ReqBody>>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<GuardedResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.kind.as_mut().project() {
                KindProjection::Inner { future, context } => match context {
                    None => {
                        let response = ready!(future.poll(cx));
                        let response =
                            response.map(|response| response.map(GuardedResponseBody::inner));
                        return Poll::Ready(response);
                    }
                    Some(_) => match ready!(poll_running(future, context, cx)) {
                        Next::Answer(response) => return Poll::Ready(response),
                        // This drops the service's future.
                        Next::Deny(denial) => Kind::Denied { denial },
                        Next::Hold(held) => Kind::Held { held },
                    },
                },
                KindProjection::Held { held } => match ready!(held.as_mut().poll(cx)) {
                    Ok(response) => {
                        return Poll::Ready(Ok(response.map(GuardedResponseBody::complete)));
                    }
                    Err(denial) => Kind::Denied { denial },
                },
                KindProjection::Denied { denial } => {
                    return Poll::Ready(Ok(denial.respond().map(GuardedResponseBody::complete)));
                }
                KindProjection::Waiting { waiting } => {
                    let finished = match waiting {
                        Some(waiting) => ready!(waiting.step.as_mut().poll(cx)),
                        // `None` only after the service panicked in its call.
                        None => return Poll::Pending,
                    };
                    let Some(Waiting { mut request, mut inner, guard, .. }) = waiting.take() else {
                        return Poll::Pending;
                    };
                    match guard.conclude(&mut request, finished) {
                        GuardDecision::Admitted(context) => {
                            Kind::call(&mut inner, request, context)
                        }
                        GuardDecision::Denied(denial) => Kind::Denied { denial },
                        GuardDecision::Waiting(step) => {
                            let waiting = Some(Waiting { step, request, inner, guard });
                            Kind::Waiting { waiting }
                        }
                    }
                }
            };
            this.kind.set(next);
        }
    }
}

enum Next<B, E> {
    Answer(Result<Response<GuardedResponseBody<B>>, E>),
    /// The request was cut before it had an answer, or its client could not detect a cut.
    Deny(Box<Denial>),
    Hold(Pin<Box<Held<B>>>),
}

/// Polls the service of a request that may be cut.
fn poll_running<F, B: Body, E>(
    future: Pin<&mut F>,
    place: &mut Option<RequestContext>,
    cx: &mut Context<'_>,
) -> Poll<Next<B, E>>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    let Some(context) = place else { return Poll::Pending };
    if let Some(cut) = context.running.seen_cut().filter(|_| !context.running.is_let_finish()) {
        return Poll::Ready(Next::Deny(deny(context, cut, cx)));
    }
    match future.poll(cx) {
        Poll::Ready(answer) => Poll::Ready(match (context.running.seen_cut(), answer) {
            (Some(cut), _) => Next::Deny(deny(context, cut, cx)),
            (None, Err(error)) => Next::Answer(Err(error)),
            (None, Ok(response)) => match place.take() {
                Some(context) => answer_running(response, context),
                None => Next::Answer(Ok(response.map(GuardedResponseBody::inner))),
            },
        }),
        Poll::Pending => match Pin::new(&mut context.running).poll(cx) {
            Poll::Ready(cut) if !context.running.is_let_finish() => {
                Poll::Ready(Next::Deny(deny(context, cut, cx)))
            }
            _ => Poll::Pending,
        },
    }
}

/// Denies a request that was cut before it had an answer.
fn deny(context: &RequestContext, cut: Cut, cx: &mut Context<'_>) -> Box<Denial> {
    if context.client.version >= Version::HTTP_2 {
        end_turn(cx);
    }
    context.deny(cut)
}

fn answer_running<B: Body, E>(response: Response<B>, context: RequestContext) -> Next<B, E> {
    let delimited = match &context.needs_length {
        Some(_) => delimited(&context.client, &response),
        None => Delimited::Already,
    };
    match delimited {
        Delimited::Already => Next::Answer(Ok(GuardedResponseBody::running(response, context))),
        Delimited::Later => Next::Hold(Box::pin(Held::new(response, context))),
        Delimited::Never => Next::Deny(context.deny_version()),
    }
}

impl<S: Service<Request<GuardedRequestBody<B>>>, B, R> fmt::Debug for GuardedFuture<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedFuture").finish_non_exhaustive()
    }
}
