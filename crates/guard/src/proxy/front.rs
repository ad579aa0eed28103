//! The front of the reverse proxy: checks each request, and guards the service by the routes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use caracal_revocation::gateway::request_id;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tower::Service;

use super::forward::{FRONT, Forward};
use super::message;
use super::tls::Certificate;
use super::upstream::Upstream;
use crate::config::{ConfigError, Limits, ProxyConfig};
use crate::routes::{GuardBody, Routed, Routes};
use crate::server::Shutdown;

/// A reverse proxy. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Proxy {
    routed: Arc<ArcSwap<Routed<Incoming>>>,
    forward: Forward,
}

impl Proxy {
    /// Creates the reverse proxy. It connects to the service with the first request.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the service's certificate authorities cannot be read.
    pub(crate) fn new(
        config: &ProxyConfig,
        routes: &Routes,
        limits: &Limits,
        shutdown: Shutdown,
    ) -> Result<Self, ConfigError> {
        let forward = Forward::new(config, limits, &routes.shared.revocations, shutdown)?;
        let routed = Routed::new(routes, FRONT, forward.clone());
        Ok(Self { routed: Arc::new(ArcSwap::from_pointee(routed)), forward })
    }

    /// Checks the files that the settings name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a file cannot be used.
    pub(crate) fn check_files(config: &ProxyConfig, limits: &Limits) -> Result<(), ConfigError> {
        Upstream::new(config, limits)?;
        config.tls.as_ref().map(Certificate::load).transpose()?;
        Ok(())
    }

    /// Decides by these routes from here on.
    pub(crate) fn reload(&self, routes: &Routes) {
        self.routed.store(Arc::new(Routed::new(routes, FRONT, self.forward.clone())));
    }
}

impl Service<Request<Incoming>> for Proxy {
    type Response = Response<GuardBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (head, body) = request.into_parts();
        if let Err(error) = message::check(&head) {
            self.forward.record(error);
            let answer = error.respond(head.version, &request_id(&head.headers));
            let body = |bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
            return Box::pin(async move { Ok(answer.map(body)) });
        }
        Routed::clone(&self.routed.load()).call(Request::from_parts(head, body))
    }
}
