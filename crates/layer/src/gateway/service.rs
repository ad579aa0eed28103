//! The service: judge, then call.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::guard::Guard;
use crate::{GatewayBody, GatewayFuture};

/// A service behind a [`GatewayLayer`](crate::GatewayLayer).
#[derive(Clone, Debug)]
pub struct Gateway<S> {
    pub(super) inner: S,
    pub(super) guard: Arc<Guard>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Gateway<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<GatewayBody<ResBody>>;
    type Error = S::Error;
    type Future = GatewayFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.guard.admit(&mut request) {
            Ok(()) => GatewayFuture::inner(self.inner.call(request)),
            Err(denial) => GatewayFuture::denied(denial),
        }
    }
}
