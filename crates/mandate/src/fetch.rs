//! Fetches a zone's keys, with limits on size and time. Plain http is accepted only from this
//! machine, or if the configuration allows it.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::errors::ConfigError;
use crate::jwks::{self, Published, Unusable};
use crate::limits::MAX_DOCUMENT;

#[derive(Debug)]
pub(crate) struct Fetcher {
    uri: Uri,
    client: Http,
    deadline: Duration,
}

#[derive(Debug)]
enum Http {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    #[cfg(feature = "tls")]
    Tls(Client<hyper_rustls::HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

/// The reason why a fetch brought no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no complete response within {} ms", .0.as_millis())]
    Deadline(Duration),
    #[error("the request failed: {0}")]
    Failed(String),
    #[error("the response has status {0}")]
    Status(StatusCode),
    #[error("the response is incomplete, or longer than {MAX_DOCUMENT} bytes")]
    Body,
    #[error("{0}")]
    Unusable(#[from] Unusable),
    #[error("the fetch needs a tokio runtime")]
    NoRuntime,
}

impl Fetcher {
    /// Creates a fetcher for `url`. Over HTTPS, it trusts these authorities (PEM), or those of the
    /// operating system if `None`. It accepts plain http only from loopback addresses, unless
    /// `accept_http` is set.
    pub(crate) fn new(
        url: &str,
        authorities: Option<&[u8]>,
        accept_http: bool,
        deadline: Duration,
    ) -> Result<Self, ConfigError> {
        let uri: Uri = url.parse().map_err(|_| ConfigError::NotAUrl)?;
        let host = uri.host().ok_or(ConfigError::NotAUrl)?;
        let client = match uri.scheme_str() {
            Some("http") if accept_http || is_loopback(host) => {
                Http::Plain(Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
            }
            Some("http") => return Err(ConfigError::InsecureKeys),
            Some("https") => Self::tls(authorities)?,
            _ => return Err(ConfigError::NotAUrl),
        };
        Ok(Self { uri, client, deadline })
    }

    #[cfg(feature = "tls")]
    fn tls(authorities: Option<&[u8]>) -> Result<Http, ConfigError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let builder = hyper_rustls::HttpsConnectorBuilder::new();
        let builder = match authorities {
            Some(pem) => builder.with_tls_config(trusting(pem, provider)?),
            None => builder
                .with_provider_and_native_roots(provider)
                .map_err(|_| ConfigError::NoCertificates)?,
        };
        let connector = builder.https_only().enable_http1().build();
        Ok(Http::Tls(Client::builder(TokioExecutor::new()).build(connector)))
    }

    #[cfg(not(feature = "tls"))]
    const fn tls(_: Option<&[u8]>) -> Result<Http, ConfigError> {
        Err(ConfigError::NoTls)
    }

    pub(crate) async fn fetch(&self) -> Result<Published, FetchError> {
        // The limit covers the handshake and a body that arrives byte by byte.
        let document = tokio::time::timeout(self.deadline, self.document()).await;
        Ok(jwks::read(&document.map_err(|_| FetchError::Deadline(self.deadline))??)?)
    }

    async fn document(&self) -> Result<Bytes, FetchError> {
        let request = Request::get(self.uri.clone())
            .header(ACCEPT, "application/json")
            .body(Empty::new())
            .map_err(|error| FetchError::Failed(error.to_string()))?;
        let answer = match &self.client {
            Http::Plain(client) => client.request(request).await,
            #[cfg(feature = "tls")]
            Http::Tls(client) => client.request(request).await,
        };
        let answer = answer.map_err(|error| FetchError::Failed(error_chain(&error)))?;
        // Redirects are not followed: keys come only from the configured address.
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        collect_body(answer.into_body(), MAX_DOCUMENT).await.ok_or(FetchError::Body)
    }
}

/// Reads a whole body into one buffer, so that many small chunks take no more memory than a few
/// large ones. Returns `None` if the body is longer than the limit, or is cut off.
async fn collect_body<B>(body: B, longest: usize) -> Option<Bytes>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let mut body = pin!(Limited::new(body, longest));
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Some(bytes.freeze())
}

#[cfg(feature = "tls")]
fn trusting(
    pem: &[u8],
    provider: rustls::crypto::CryptoProvider,
) -> Result<rustls::ClientConfig, ConfigError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| ConfigError::NoCertificates)?;
        roots.add(certificate).map_err(|_| ConfigError::NoCertificates)?;
    }
    if roots.is_empty() {
        return Err(ConfigError::NoCertificates);
    }
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|_| ConfigError::NoCertificates)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Returns the text of an error and of its causes. hyper's own text names no cause.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    fn fetcher(url: &str) -> Result<Fetcher, ConfigError> {
        Fetcher::new(url, None, false, Duration::from_secs(5))
    }

    #[test]
    fn accepts_plain_http_from_loopback_only() {
        for url in ["http://127.0.0.1:80/k", "http://localhost/k", "http://[::1]:8080/k"] {
            assert!(fetcher(url).is_ok(), "{url}");
        }
        for url in [
            "http://sts.example/k",
            "http://127.0.0.1@sts.example/k",
            "http://127.0.0.1.example/k",
            "http://localhost.example/k",
            "http://10.0.0.1/k",
        ] {
            assert_eq!(fetcher(url).unwrap_err(), ConfigError::InsecureKeys, "{url}");
        }
        for url in ["", "/k", "sts.example", "ftp://sts.example/k"] {
            assert_eq!(fetcher(url).unwrap_err(), ConfigError::NotAUrl, "{url}");
        }
    }

    /// A body of this many bytes, one byte per chunk.
    struct Chunks(usize);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
            self.0 = left;
            Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(b"a")))))
        }
    }

    #[test]
    fn response_memory_depends_on_bytes_not_chunks() {
        let longest = 256 * 1024;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let used = allocation_counter::measure(|| {
            let read = runtime.block_on(collect_body(Chunks(longest), longest));
            assert!(read.is_some_and(|read| read.len() == longest));
        });
        assert!(used.bytes_max < 4 * longest as u64, "{used:?}");
        assert_eq!(runtime.block_on(collect_body(Chunks(longest + 1), longest)), None);
    }
}
