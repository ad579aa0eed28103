//! Forwards an admitted request to the service, and the response to the client.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation::gateway::{BoxError, GuardedRequestBody, RequestDenialKind, request_id};
use caracal_revocation::{Admission, GatewayLayer, Revocations};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service;

use super::error::ProxyError;
use super::failures::Failures;
use super::http2::Stream;
use super::prepare::{Forwarding, Rules, prepare_response};
use super::tunnel::Tunnel;
use super::upload::{Side, Upload};
use super::upstream::Upstream;
use crate::config::{ConfigError, Limits, ProxyConfig};
use crate::identity;
use crate::server::{Connection, Shutdown};

/// The label of this front in metrics and logs.
pub(super) const FRONT: &str = "proxy";

/// The service behind the routes: it forwards every request that it gets.
#[derive(Clone, Debug)]
pub(super) struct Forward(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: Rules,
    upstream: Upstream,
    response: Duration,
    upload: Duration,
    denying: GatewayLayer,
    failures: Failures,
    shutdown: Shutdown,
}

/// The body of a response: an answer of this proxy, or the body of the service.
type AnyBody = Either<Full<Bytes>, Download>;

impl Forward {
    /// Reads the certificate authorities, and registers the counters.
    pub(super) fn new(
        config: &ProxyConfig,
        limits: &Limits,
        revocations: &Revocations,
        shutdown: Shutdown,
    ) -> Result<Self, ConfigError> {
        let upstream = Upstream::new(config, limits)?;
        let parts = config.upstream.clone().into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(ConfigError::new("CARACAL_GUARD_UPSTREAM", "has no host"));
        };
        let rules = Rules {
            scheme,
            authority,
            always_http2: config.upstream_http2,
            trusted_proxies: config.trusted_proxies.clone(),
            upgrades: config.upgrades.clone(),
        };
        Ok(Self(Arc::new(Inner {
            rules,
            upstream,
            response: limits.response,
            upload: limits.upload,
            denying: GatewayLayer::new(revocations.clone()).with_front(FRONT),
            failures: Failures::register(),
            shutdown,
        })))
    }
}

impl Forward {
    /// Counts a request that is refused before it comes here.
    pub(super) fn record(&self, error: ProxyError) {
        self.0.failures.record(error, None);
    }
}

impl Inner {
    async fn answer(&self, request: Request<GuardedRequestBody<Incoming>>) -> Response<AnyBody> {
        let Ok(identity) = identity::headers(request.extensions()) else {
            let answer = self.denying.deny(RequestDenialKind::MalformedClaims, &request);
            return answer.map(|body| Either::Left(Full::new(body)));
        };
        let (version, id) = (request.version(), request_id(request.headers()));
        let forwarding = self.rules.forwarding(&request);
        let is_grpc = forwarding.is_grpc;
        match self.forward(request, forwarding, identity, &id).await {
            Ok(response) => response.map(Either::Right),
            Err((error, cause)) => {
                self.failures.record(error, cause.as_ref());
                let answer =
                    if is_grpc { error.respond_grpc(&id) } else { error.respond(version, &id) };
                answer.map(|body| Either::Left(Full::new(body)))
            }
        }
    }

    async fn forward(
        &self,
        mut request: Request<GuardedRequestBody<Incoming>>,
        forwarding: Forwarding,
        identity: http::HeaderMap,
        id: &http::HeaderValue,
    ) -> Result<Response<Download>, (ProxyError, Option<BoxError>)> {
        let own = |error| (error, None);
        let on_client = hyper::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        if forwarding.upgrade.is_some() && !body.is_end_stream() {
            return Err(own(ProxyError::Malformed("an upgrade has no body")));
        }
        let tunnel = forwarding.upgrade.as_ref().map(|upgrade| Tunnel {
            revoked: head.extensions.get().map(Admission::revoked),
            shutdown: self.shutdown.clone(),
            is_websocket: upgrade.is_websocket(),
            connection: head.extensions.get::<Connection>().cloned(),
        });
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        self.rules.prepare(&mut head, &forwarding, identity, id, length).map_err(own)?;
        // Extensions are for this process only, such as the identity.
        head.extensions.clear();
        let body = Upload::new(body);
        let (mut response, stream) =
            self.send(Request::from_parts(head, body), &forwarding).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (mut head, body) = response.into_parts();
            prepare_response(&mut head).map_err(own)?;
            return Ok(Response::from_parts(head, Download { body, _stream: stream }));
        }
        let upgrade = forwarding.upgrade.filter(|upgrade| upgrade.is_granted(response.headers()));
        let (Some(upgrade), Some(tunnel)) = (upgrade, tunnel) else {
            return Err((
                ProxyError::Broken,
                Some("a switch of protocols without a request".into()),
            ));
        };
        let on_service = hyper::upgrade::on(&mut response);
        tokio::spawn(tunnel.run(on_client, on_service));
        let (mut head, body) = response.into_parts();
        prepare_response(&mut head).map_err(own)?;
        upgrade.write(&mut head.headers);
        Ok(Response::from_parts(head, Download { body, _stream: None }))
    }

    /// Sends the request, and waits for the head of the response.
    async fn send(
        &self,
        request: Request<Upload>,
        forwarding: &Forwarding,
    ) -> Result<(Response<Incoming>, Option<Stream>), (ProxyError, Option<BoxError>)> {
        let progress = request.body().progress();
        let sending = async {
            if forwarding.is_http2 {
                let sent = self.upstream.send_http2(request).await;
                sent.map(|(response, stream)| (response, Some(stream)))
            } else {
                self.upstream.send_http1(request).await.map(|response| (response, None))
            }
        };
        // A gRPC call may be silent before both sides have begun.
        let upload = (!forwarding.is_grpc).then_some(self.upload);
        tokio::select! {
            biased;
            sent = sending => sent.map_err(|(error, cause)| {
                let error = if progress.has_failed() { ProxyError::BrokenUpload } else { error };
                (error, Some(cause))
            }),
            side = progress.stalled(upload, self.response) => Err(match side {
                Side::Client => (ProxyError::StalledUpload, None),
                Side::Service => (ProxyError::Timeout, None),
            }),
        }
    }
}

impl Service<Request<GuardedRequestBody<Incoming>>> for Forward {
    type Response = Response<AnyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<GuardedRequestBody<Incoming>>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(inner.answer(request).await) })
    }
}

pin_project! {
    /// The body of the service's response.
    #[derive(Debug)]
    pub(super) struct Download {
        #[pin]
        body: Incoming,
        // The stream is open while the body is.
        _stream: Option<Stream>,
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
