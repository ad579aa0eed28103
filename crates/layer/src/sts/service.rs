//! The service: reads possible token requests first, and passes on all others.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::guard::Guard;
use crate::{GuardedResponseBody, StsBody, StsFuture};

/// A service behind an [`StsLayer`](crate::StsLayer).
#[derive(Clone, Debug)]
pub struct Sts<S> {
    pub(super) inner: S,
    pub(super) guard: Arc<Guard>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Sts<S>
where
    S: Service<Request<StsBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    ReqBody: Body<Data = Bytes>,
{
    type Response = Response<GuardedResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = StsFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if !self.guard.is_token_request(&request) {
            return StsFuture::inner(self.inner.call(request.map(StsBody::untouched)));
        }
        let (parts, body) = request.into_parts();
        if let Err(denial) = self.guard.accept(&parts.uri, &parts.headers) {
            return StsFuture::denied(denial);
        }
        // Only the original is ready; its clone may not be.
        let unready = self.inner.clone();
        let inner = mem::replace(&mut self.inner, unready);
        StsFuture::reading(parts, body, inner, Arc::clone(&self.guard))
    }
}
