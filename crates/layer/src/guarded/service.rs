//! The service, which is called only for admitted requests.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::decision::GuardDecision;
use super::guard::Guard;
use crate::{GuardedFuture, GuardedRequestBody, GuardedResponseBody};

/// A service behind a [`GatewayLayer`](crate::GatewayLayer) or a
/// [`ResourceLayer`](crate::ResourceLayer).
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> Guarded<S> {
    /// Puts the service behind the guard.
    pub(crate) fn new(inner: S, guard: &Arc<Guard>) -> Self {
        guard.start_watch();
        Self { inner, guard: Arc::clone(guard) }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Guarded<S>
where
    S: Service<Request<GuardedRequestBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<GuardedResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = GuardedFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.guard.admit(&mut request) {
            GuardDecision::Admitted(context) => {
                GuardedFuture::call(&mut self.inner, request, context)
            }
            GuardDecision::Denied(denial) => GuardedFuture::denied(denial),
            GuardDecision::Waiting(step) => {
                // Only the original is ready; its clone may not be.
                let unready = self.inner.clone();
                let inner = mem::replace(&mut self.inner, unready);
                GuardedFuture::waiting(step, request, inner, Arc::clone(&self.guard))
            }
        }
    }
}
