//! The connections to the service: one client for HTTP/1.1, one for HTTP/2.

use std::time::Duration;

use http::{Method, Request, Response, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneSyncService;

use caracal_revocation::gateway::BoxError;

use super::error::ProxyError;
use super::http2::{Http2, Stream};
use super::upload::Upload;
use crate::config::{ConfigError, Limits, ProxyConfig};

/// A connection to the service.
pub(super) type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Connects to the service in time.
pub(super) type Connector = BoxCloneSyncService<Uri, Io, BoxError>;

/// The time after which an unused connection is closed: less than the five seconds of Node.js,
/// the shortest of the usual servers, so that no request meets a connection that just closes.
const UNUSED: Duration = Duration::from_secs(4);

/// The time between two probes of a silent connection.
const PROBE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub(super) struct Upstream {
    http1: Client<Connector, Upload>,
    http2: Http2,
}

impl Upstream {
    pub(super) fn new(config: &ProxyConfig, limits: &Limits) -> Result<Self, ConfigError> {
        let tls = tls(config)?;
        let https = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let in_time = |connector: HttpsConnector<HttpConnector>| {
            let connector = ServiceBuilder::new().timeout(limits.connect).service(connector);
            BoxCloneSyncService::new(connector)
        };
        let http1 = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(UNUSED)
            .pool_timer(TokioTimer::new())
            .build(in_time(https().enable_http1().wrap_connector(tcp())));
        let connector = in_time(https().enable_http2().wrap_connector(tcp()));
        let http2 = Http2::new(config.upstream.clone(), connector, limits.connect);
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

/// Returns `true` if a time limit caused this error.
pub(super) fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<Elapsed>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // A service that is gone without a sign is noticed by these, even while nothing is sent.
    connector.set_keepalive(Some(PROBE));
    connector.set_keepalive_interval(Some(PROBE));
    connector.set_keepalive_retries(Some(3));
    connector
}

/// Returns the trust in the service's certificate. A service without TLS needs none.
fn tls(config: &ProxyConfig) -> Result<rustls::ClientConfig, ConfigError> {
    let mut roots = rustls::RootCertStore::empty();
    let setting = "CARACAL_GUARD_UPSTREAM_CA_FILE";
    if let Some(path) = &config.upstream_ca_file {
        let fail = |problem: &dyn std::fmt::Display| {
            ConfigError::new(setting, format!("{}: {problem}", path.display()))
        };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fail(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| fail(&error))?;
            roots.add(certificate).map_err(|error| fail(&error))?;
        }
        if roots.is_empty() {
            return Err(fail(&"holds no certificate"));
        }
    } else if config.upstream.scheme_str() == Some("https") {
        let system = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(system.certs);
        if added == 0 {
            let problem = "missing: this system has no certificate authorities to trust";
            return Err(ConfigError::new(setting, problem));
        }
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new("CARACAL_GUARD_UPSTREAM", error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
