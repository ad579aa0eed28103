//! HTTP clients, and the check of each answer against the time of the revocation.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::report::{Report, TOO_LATE};

/// A mandate that clients use, and the time of its revocation.
pub struct Token {
    bearer: String,
    session: String,
    begun: OnceLock<Instant>,
    in_stream: OnceLock<Instant>,
}

impl Token {
    pub fn new(mandate: String, session: String) -> Self {
        let bearer = format!("Bearer {mandate}");
        Self { bearer, session, begun: OnceLock::new(), in_stream: OnceLock::new() }
    }

    pub fn session(&self) -> &str {
        &self.session
    }

    pub fn revocation_begins(&self) {
        self.begun.get_or_init(Instant::now);
    }

    pub fn revocation_is_in_the_stream(&self) {
        self.in_stream.get_or_init(Instant::now);
    }
}

/// A client with its own connection.
pub struct Client {
    http: HttpClient<HttpConnector, Empty<Bytes>>,
    uri: String,
    report: Arc<Report>,
}

impl Client {
    pub fn new(address: SocketAddr, report: Arc<Report>) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { http, uri: format!("http://{address}/"), report }
    }

    /// Uses all tokens in turn, revoked or not, until `stop` is set.
    pub async fn use_all(self, tokens: Arc<[Arc<Token>]>, from: usize, stop: Arc<AtomicBool>) {
        for token in tokens.iter().cycle().skip(from) {
            if stop.load(Ordering::Acquire) {
                return;
            }
            self.use_once(token).await;
        }
    }

    /// Uses a token repeatedly until it is denied, or for three times the longest time.
    pub async fn use_until_blocked(self, token: Arc<Token>) {
        let begun = *token.begun.get_or_init(Instant::now);
        while begun.elapsed() < 3 * TOO_LATE {
            if self.use_once(&token).await == Some(StatusCode::UNAUTHORIZED) {
                self.report.blocked(begun.elapsed());
                return;
            }
        }
    }

    /// Sends one request, and counts the answer as right or wrong by the state when it was sent.
    async fn use_once(&self, token: &Token) -> Option<StatusCode> {
        let was_in_stream = token.in_stream.get().copied();
        let sent = Instant::now();
        let Some(status) = self.send(&token.bearer).await else {
            self.report.failed();
            return None;
        };
        match status {
            StatusCode::OK => {
                let late = was_in_stream.map(|since| sent.saturating_duration_since(since));
                self.report.served(late);
            }
            // Correct if the revocation had begun before the answer arrived.
            StatusCode::UNAUTHORIZED => self.report.denied(token.begun.get().is_some()),
            _ => self.report.failed(),
        }
        Some(status)
    }

    async fn send(&self, bearer: &str) -> Option<StatusCode> {
        let request = Request::get(&self.uri).header(header::AUTHORIZATION, bearer);
        let response = self.http.request(request.body(Empty::new()).ok()?).await.ok()?;
        let status = response.status();
        // Reads the whole body, so that the connection can be reused.
        response.into_body().collect().await.ok()?;
        Some(status)
    }
}
