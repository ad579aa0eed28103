//! Opens connections to the service, in time and with TLS if it has it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use caracal_revocation::gateway::BoxError;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneSyncService;

use crate::config::{ConfigError, ProxyConfig};

/// A connection to the service. Boxed, because the part for TLS is large, and the client moves it
/// several times.
#[derive(Debug)]
pub(super) struct Io(Box<MaybeHttpsStream<TokioIo<TcpStream>>>);

/// Connects to the service in time.
pub(super) type Connector = BoxCloneSyncService<Uri, Io, BoxError>;

/// The time between two probes of a silent connection.
const PROBE: Duration = Duration::from_secs(20);

/// The connectors for both versions of HTTP.
#[derive(Clone, Debug)]
pub(super) struct Connectors {
    pub(super) http1: Connector,
    pub(super) http2: Connector,
}

impl Connectors {
    pub(super) fn new(config: &ProxyConfig, limit: Duration) -> Result<Self, ConfigError> {
        let tls = tls(config)?;
        let https = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let in_time = |connector| {
            let boxed = |io| Io(Box::new(io));
            let in_time = ServiceBuilder::new().map_response(boxed).timeout(limit);
            BoxCloneSyncService::new(in_time.service(connector))
        };
        Ok(Self {
            http1: in_time(https().enable_http1().wrap_connector(tcp())),
            http2: in_time(https().enable_http2().wrap_connector(tcp())),
        })
    }
}

impl Connection for Io {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
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
