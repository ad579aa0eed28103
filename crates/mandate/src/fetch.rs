//! Fetches a zone's keys: over HTTPS, or plain http from this machine, with limits on both size
//! and time.

use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::ConfigError;
use crate::jwks::{self, ByKid, Unusable};

/// The longest document that is read (contract, "Tokens").
const MAX_DOCUMENT: usize = 256 * 1024;
const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Fetcher {
    uri: Uri,
    client: Http,
}

#[derive(Debug)]
enum Http {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    #[cfg(feature = "tls")]
    Tls(Client<hyper_rustls::HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

/// Why there is no new document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Deadline,
    #[error("the request failed: {0}")]
    Failed(String),
    #[error("the answer has status {0}")]
    Status(StatusCode),
    #[error("the answer breaks off, or is longer than {MAX_DOCUMENT} bytes")]
    Body,
    #[error("{0}")]
    Unusable(#[from] Unusable),
    #[error("there is no tokio runtime to fetch on")]
    NoRuntime,
}

impl Fetcher {
    pub(crate) fn new(url: &str) -> Result<Self, ConfigError> {
        let uri: Uri = url.parse().map_err(|_| ConfigError::NotAUrl)?;
        let host = uri.host().ok_or(ConfigError::NotAUrl)?;
        let client = match uri.scheme_str() {
            Some("http") if is_loopback(host) => {
                Http::Plain(Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
            }
            Some("http") => return Err(ConfigError::InsecureKeys),
            Some("https") => Self::tls()?,
            _ => return Err(ConfigError::NotAUrl),
        };
        Ok(Self { uri, client })
    }

    #[cfg(feature = "tls")]
    fn tls() -> Result<Http, ConfigError> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|_| ConfigError::NoCertificates)?
            .https_only()
            .enable_http1()
            .build();
        Ok(Http::Tls(Client::builder(TokioExecutor::new()).build(connector)))
    }

    #[cfg(not(feature = "tls"))]
    const fn tls() -> Result<Http, ConfigError> {
        Err(ConfigError::NoTls)
    }

    pub(crate) async fn fetch(&self) -> Result<ByKid, FetchError> {
        let document = tokio::time::timeout(DEADLINE, self.document());
        Ok(jwks::read(&document.await.map_err(|_| FetchError::Deadline)??)?)
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
        let answer = answer.map_err(|error| FetchError::Failed(said(&error)))?;
        // Redirects are not followed: keys come from where they were configured to.
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_DOCUMENT).collect().await;
        body.map(|body| body.to_bytes()).map_err(|_| FetchError::Body)
    }
}

/// An error with its causes: hyper's own words say little.
fn said(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for url in ["http://127.0.0.1:80/k", "http://localhost/k", "http://[::1]:8080/k"] {
            assert!(Fetcher::new(url).is_ok(), "{url}");
        }
        for url in [
            "http://sts.example/k",
            "http://127.0.0.1@sts.example/k",
            "http://127.0.0.1.example/k",
            "http://localhost.example/k",
            "http://10.0.0.1/k",
        ] {
            assert_eq!(Fetcher::new(url).unwrap_err(), ConfigError::InsecureKeys, "{url}");
        }
        for url in ["", "/k", "sts.example", "ftp://sts.example/k"] {
            assert_eq!(Fetcher::new(url).unwrap_err(), ConfigError::NotAUrl, "{url}");
        }
    }
}
