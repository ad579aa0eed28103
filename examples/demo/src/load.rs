//! Clients over real HTTP, and what each token may be answered at each moment.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::report::Report;

/// A revoked token that still passes so long after has failed to be blocked.
pub const TOO_LATE: Duration = Duration::from_secs(1);

/// A mandate in clients' hands, and when it was revoked.
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

/// One client with a connection of its own.
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

    /// Uses one token after the other, revoked or not, until told to stop.
    pub async fn use_all(self, tokens: Arc<[Arc<Token>]>, from: usize, stop: Arc<AtomicBool>) {
        for token in tokens.iter().cycle().skip(from) {
            if stop.load(Ordering::Acquire) {
                return;
            }
            self.use_once(token).await;
        }
    }

    /// Uses a token that is being revoked again and again, until it is refused or given up.
    pub async fn use_until_blocked(self, token: Arc<Token>) {
        let begun = *token.begun.get_or_init(Instant::now);
        while begun.elapsed() < 3 * TOO_LATE {
            if self.use_once(&token).await == Some(StatusCode::UNAUTHORIZED) {
                self.report.blocked(begun.elapsed());
                return;
            }
        }
    }

    /// Asks once, and judges the answer by what was revoked when the request was sent.
    async fn use_once(&self, token: &Token) -> Option<StatusCode> {
        let was_in_stream = token.in_stream.get().copied();
        let sent = Instant::now();
        let Some(status) = self.ask(&token.bearer).await else {
            self.report.failed();
            return None;
        };
        match status {
            StatusCode::OK => {
                let late = was_in_stream.map(|since| sent.saturating_duration_since(since));
                self.report.served(late);
            }
            // Refused rightly if its revocation had begun by the time that the answer came.
            StatusCode::UNAUTHORIZED => self.report.refused(token.begun.get().is_some()),
            _ => self.report.failed(),
        }
        Some(status)
    }

    async fn ask(&self, bearer: &str) -> Option<StatusCode> {
        let request = Request::get(&self.uri).header(header::AUTHORIZATION, bearer);
        let response = self.http.request(request.body(Empty::new()).ok()?).await.ok()?;
        let status = response.status();
        // Read to its end, so that the connection can be used again.
        response.into_body().collect().await.ok()?;
        Some(status)
    }
}
