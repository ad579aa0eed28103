//! A connection to a server: TCP, a Unix socket, or TLS.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::log_error::LogError;
use caracal_revocation_state::OutageCause;

/// A byte stream to a server.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// The TLS configuration from the settings, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    #[cfg(feature = "tls")]
    pub(crate) config: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

pub(super) async fn connect(
    server: &ConnectionInfo,
    certificates: &Certificates,
) -> Result<Box<dyn Transport>, LogError> {
    match server.addr() {
        ConnectionAddr::Tcp(host, port) => Ok(Box::new(tcp(host, *port).await?)),
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => {
            Ok(Box::new(tokio::net::UnixStream::connect(path).await.map_err(unreachable)?))
        }
        #[cfg(feature = "tls")]
        ConnectionAddr::TcpTls { host, port, insecure: false, .. } => {
            Ok(Box::new(tls(host, tcp(host, *port).await?, certificates).await?))
        }
        _ => {
            let _ = certificates;
            let message = "an address of this kind is not supported";
            Err(LogError::Connection(OutageCause::Other, message.into()))
        }
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, LogError> {
    let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    // Without this, small writes wait for the acknowledgement of the last one.
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

#[cfg(feature = "tls")]
async fn tls(
    host: &str,
    stream: TcpStream,
    certificates: &Certificates,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, LogError> {
    use rustls::pki_types::ServerName;

    let failed = |message: String| LogError::Connection(OutageCause::Tls, message);
    let config = match &certificates.config {
        Some(config) => std::sync::Arc::clone(config),
        None => crate::certificates::of_the_system().map_err(|error| failed(error.to_string()))?,
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(config);
    connector.connect(name, stream).await.map_err(|error| match error.kind() {
        // The TLS library reports a failed handshake in this way.
        std::io::ErrorKind::InvalidData => failed(error.to_string()),
        _ => unreachable(error),
    })
}

pub(super) fn unreachable(error: std::io::Error) -> LogError {
    LogError::Connection(OutageCause::Unreachable, error.to_string())
}
