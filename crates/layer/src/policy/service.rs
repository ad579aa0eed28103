//! The service, which is called only for allowed requests.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::guard::{Guard, PolicyStep};
use crate::{GuardedResponseBody, PolicyFuture};

/// A service behind a [`PolicyLayer`](crate::PolicyLayer).
#[derive(Clone, Debug)]
pub struct PolicyGuard<S> {
    pub(super) inner: S,
    pub(super) guard: Arc<Guard>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for PolicyGuard<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<GuardedResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = PolicyFuture<S, Request<ReqBody>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.guard.authorize(&mut request) {
            PolicyStep::Now(Ok(decision)) => {
                request.extensions_mut().insert(decision);
                PolicyFuture::inner(self.inner.call(request))
            }
            PolicyStep::Now(Err(rejection)) => {
                PolicyFuture::denied(self.guard.deny(rejection, &request))
            }
            PolicyStep::Later(decision) => {
                // Only the original is ready; its clone may not be.
                let fresh = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, fresh);
                PolicyFuture::deciding(decision, Arc::clone(&self.guard), ready, request)
            }
        }
    }
}
