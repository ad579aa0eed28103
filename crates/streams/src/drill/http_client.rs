//! Sends requests to services, with limits on time and size. Follows no redirect.

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::outcome::Failure;

/// The time limit for one answer.
const WITHIN: Duration = Duration::from_secs(5);
/// The part of a body that is read.
const MAX_BODY: usize = 64 << 10;

/// A client for HTTP, and for HTTPS with the certificates of the operating system.
#[derive(Clone)]
pub(super) enum HttpClient {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    #[cfg(feature = "tls")]
    Tls(Client<hyper_rustls::HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

/// An answer of a service. The body is empty if it is too large.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl HttpClient {
    /// Creates a client for these URLs. Needs certificates only for HTTPS.
    pub(super) fn for_urls<'u>(mut urls: impl Iterator<Item = &'u Uri>) -> Result<Self, Failure> {
        if urls.any(|url| url.scheme_str() == Some("https")) {
            return Self::tls();
        }
        Ok(Self::Plain(Client::builder(TokioExecutor::new()).build(HttpConnector::new())))
    }

    #[cfg(feature = "tls")]
    fn tls() -> Result<Self, Failure> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let builder = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|error| Failure::new(format!("no certificates of the system: {error}")))?;
        let connector = builder.https_or_http().enable_http1().build();
        Ok(Self::Tls(Client::builder(TokioExecutor::new()).build(connector)))
    }

    #[cfg(not(feature = "tls"))]
    fn tls() -> Result<Self, Failure> {
        Err(Failure::new("https: this program was built without the feature `tls`"))
    }

    /// Sends a `GET` request. The error is the reason that there is no answer.
    pub(super) async fn get(
        &self,
        url: &Uri,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, String> {
        let mut request = Request::get(url.clone());
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let answer = async {
            let answer = match self {
                Self::Plain(client) => client.request(request).await,
                #[cfg(feature = "tls")]
                Self::Tls(client) => client.request(request).await,
            };
            let answer = answer.map_err(|error| chain(&error))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_BODY).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok(Answer { status: parts.status, body })
        };
        let late = || format!("no answer within {} s", WITHIN.as_secs());
        tokio::time::timeout(WITHIN, answer).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Returns the error and its causes as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
