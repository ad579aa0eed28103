//! The service of a front: finds the route of a request, and calls the guarded service of that
//! route.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use caracal_revocation::GatewayLayer;
use caracal_revocation::gateway::{BoxError, RequestDenialKind, decoded_path};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
#[cfg(feature = "opa")]
use tower::Layer;
use tower::{Service, ServiceExt};

use super::pattern::RoutePattern;
use super::rules::{Inner, RouteRules, Shared};

/// The body of every response of the guard.
pub(crate) type GuardBody = UnsyncBoxBody<Bytes, BoxError>;

type Answer = Pin<Box<dyn Future<Output = Result<Response<GuardBody>, Infallible>> + Send>>;
type Route<B> = Arc<dyn Fn(Request<B>) -> Answer + Send + Sync>;

/// Guards an inner service by the rules of each route. The first route that matches decides.
///
/// A request whose path has more than one reading is denied before its route is looked up, because
/// the service behind could read it as the path of another route. A request without a route is
/// denied. Without any route in the configuration, every request needs only a valid mandate, and
/// its path is not examined.
pub(crate) struct Routed<B> {
    routes: Arc<[(Option<RoutePattern>, Route<B>)]>,
    denying: GatewayLayer,
}

impl<B> Clone for Routed<B> {
    fn clone(&self) -> Self {
        Self { routes: Arc::clone(&self.routes), denying: self.denying.clone() }
    }
}

impl<B: Send + 'static> Routed<B> {
    /// Puts `inner` behind these routes. `front` is the label of the metrics.
    pub(crate) fn new<R>(routes: &Routes, front: &'static str, inner: impl Inner<B, R>) -> Self
    where
        R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Routes { shared, rules, default } = routes;
        let guarded = |rules: &RouteRules| -> Route<B> {
            #[cfg(feature = "opa")]
            if let Some(policy) = shared.policy.as_ref().filter(|_| rules.policy) {
                return route(rules.layer(shared, front, policy.layer(inner.clone())));
            }
            route(rules.layer(shared, front, inner.clone()))
        };
        let all = match rules.as_slice() {
            [] => vec![(None, guarded(default))],
            rules => {
                rules.iter().map(|rules| (Some(rules.pattern.clone()), guarded(rules))).collect()
            }
        };
        let denying = GatewayLayer::new(shared.revocations.clone()).with_front(front);
        Self { routes: all.into(), denying }
    }

    /// Denies this request as the guard's own layers do.
    pub(crate) fn deny(
        &self,
        kind: RequestDenialKind,
        request: &Request<B>,
    ) -> Response<GuardBody> {
        let body = |bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        self.denying.deny(kind, request).map(body)
    }

    /// Returns `true` if the path and method of a request decide its rules.
    pub(crate) fn has_routes(&self) -> bool {
        !matches!(&*self.routes, [(None, _)])
    }

    fn find(&self, request: &Request<B>) -> Result<&Route<B>, RequestDenialKind> {
        if let [(None, route)] = &*self.routes {
            return Ok(route);
        }
        // Some services cut parameters off a segment, so that `/a;x/b` would be `/a/b` there.
        let raw = request.uri().path();
        let path = decoded_path(raw).filter(|path| !path.contains(';'));
        let path = path.ok_or(RequestDenialKind::AmbiguousPath)?;
        let matches = |(pattern, _): &&(Option<RoutePattern>, _)| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(request.method(), &path))
        };
        let found = self.routes.iter().find(matches);
        found.map(|(_, route)| route).ok_or(RequestDenialKind::NoRoute)
    }
}

/// Returns a route to this service.
fn route<B, S, R>(service: S) -> Route<B>
where
    B: Send + 'static,
    S: Service<Request<B>, Response = Response<R>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Arc::new(move |request| {
        let response = service.clone().oneshot(request);
        Box::pin(async move {
            let response = response.await?;
            Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        })
    })
}

/// The routes of the configuration, with the parts that their layers share.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    pub(crate) shared: Shared,
    pub(crate) rules: Vec<RouteRules>,
    /// The rules if the configuration has no routes.
    pub(crate) default: RouteRules,
}

impl<B: Send + 'static> Service<Request<B>> for Routed<B> {
    type Response = Response<GuardBody>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        match self.find(&request) {
            Ok(route) => route(request),
            Err(kind) => {
                let response = self.deny(kind, &request);
                Box::pin(async move { Ok(response) })
            }
        }
    }
}
