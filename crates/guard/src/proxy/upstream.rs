//! The connections to the service: one client for HTTP/1.1, one for HTTP/2.

use std::time::Duration;

use caracal_revocation::gateway::BoxError;
use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::{Connector, Connectors, is_late};
use super::error::ProxyError;
use super::http2::{Http2, Stream};
use super::upload::Upload;
use crate::config::{ConfigError, Limits, ProxyConfig};

/// The time after which an unused connection is closed: less than the five seconds of Node.js, so
/// that few requests meet a connection that just closes.
const UNUSED: Duration = Duration::from_secs(4);

#[derive(Clone, Debug)]
pub(super) struct Upstream {
    http1: Client<Connector, Upload>,
    http2: Http2,
}

impl Upstream {
    pub(super) fn new(config: &ProxyConfig, limits: &Limits) -> Result<Self, ConfigError> {
        let connectors = Connectors::new(config, limits.connect)?;
        let http1 = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(UNUSED)
            .pool_timer(TokioTimer::new())
            .build(connectors.http1);
        let http2 = Http2::new(config.upstream.clone(), connectors.http2, limits.connect);
        Ok(Self { http1, http2 })
    }

    /// Sends a request over HTTP/1.1, and returns the head of the response.
    ///
    /// A service may close an unused connection just when a request arrives on it. A request that
    /// changes nothing is then sent again, once.
    pub(super) async fn send_http1(
        &self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, (ProxyError, BoxError)> {
        let copy = copy_of(&request);
        let mut sent = self.http1.request(request).await;
        if let (Err(error), Some(copy)) = (&sent, copy)
            && is_closed(error)
        {
            sent = self.http1.request(copy).await;
        }
        sent.map_err(|error| {
            let kind = match error.is_connect() {
                true if is_late(&error) => ProxyError::ConnectTimeout,
                true => ProxyError::Unreachable,
                false => ProxyError::Broken,
            };
            (kind, error.into())
        })
    }

    /// Sends a request over HTTP/2, and returns the head of the response. The stream counts as open
    /// until the second value is dropped.
    pub(super) async fn send_http2(
        &self,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Stream), (ProxyError, BoxError)> {
        self.http2.send(request).await
    }
}

/// Returns a copy of a request that may be sent twice: it has no body, and is safe (RFC 9110, section
/// 9.2.1).
fn copy_of(request: &Request<Upload>) -> Option<Request<Upload>> {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_safe || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Upload::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

/// Returns `true` if the connection was closed before any part of a response.
fn is_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    let mut cause = error.source();
    while let Some(error) = cause {
        let closed = error
            .downcast_ref::<hyper::Error>()
            .is_some_and(|error| error.is_incomplete_message() || error.is_canceled());
        let reset = error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| matches!(error.kind(), BrokenPipe | ConnectionReset));
        if closed || reset {
            return true;
        }
        cause = error.source();
    }
    false
}
