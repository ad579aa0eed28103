//! HTTP checks: other proxies ask about a request, and act on the status.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;

use crate::decider::{Decider, question};
use crate::routes::{GuardBody, Routes};

/// Answers `/check`.
#[derive(Clone)]
pub(crate) struct Checks {
    decider: Decider,
}

impl Checks {
    pub(crate) fn new(routes: &Routes) -> Self {
        Self { decider: Decider::new("check", routes) }
    }

    /// Decides by these routes from here on.
    pub(crate) fn reload(&self, routes: &Routes) {
        self.decider.reload(routes);
    }
}

impl<B> Service<Request<B>> for Checks {
    type Response = Response<GuardBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let question = question(request.method().clone(), request.uri().clone(), request.headers());
        let decider = self.decider.clone();
        Box::pin(async move { Ok(decider.decide(question).await) })
    }
}
