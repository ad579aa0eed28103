//! The service for probes and metrics.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use caracal_revocation_state::{Moment, ReloadStart, Revocations};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
#[cfg(feature = "status-page")]
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tower_service::Service;

use super::access::{BearerToken, Presented};
#[cfg(feature = "status-page")]
use super::page::{self, Refresh};
use super::readiness::Report;
use super::reload::{ReloadAccess, ReloadAnswer};
use super::status::Status;

/// The headers of the page, in addition to those of every answer.
#[cfg(feature = "status-page")]
const PAGE_HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

/// A service for probes, metrics and operators.
///
/// | request | answer |
/// |---|---|
/// | `GET /health` | 200 while the process answers: a state that is not ready is no reason to restart the process |
/// | `GET /ready` | 200 while requests can be admitted, else 503, with the reason as JSON |
/// | `GET /status` | 200, and what `/ready` says with the bound; details with the token of [`with_bearer`](Self::with_bearer) |
/// | `GET /metrics` | the text of [`with_metrics`](Self::with_metrics), else 404 |
/// | `GET /` | a page for people with the content of `/status`, if `with_page` (feature `status-page`) asks for it; else 404 |
/// | `POST /revocations/reload` | 202 if a reload has begun, 409 if one runs already, 503 if nothing can be read now, 401 without the token of [`with_reload`](Self::with_reload); 404 without that |
///
/// `/ready` is 200 if:
///
/// 1. [`Revocations::readiness`] returns ready, which it does exactly while a token that is not
///    revoked is admitted. Otherwise the reason is one of `UnknownCause::LABELS`: `replaying`,
///    `no_signature_verifies`, `not_provisioned`, `stale` or `full`;
/// 2. every condition of [`ready_if`](Self::ready_if) holds. Otherwise the reason is the name of
///    the condition that does not.
///
/// In the JSON, `degraded` names an alarm that leaves the service ready (`signatures_fail`), and
/// `advice` names an action for an operator, with the setting.
///
/// The details are the position in each stream, gaps, the slot of the key that verifies messages
/// (never a key), the reads of the baseline, the snapshot, the last reload, and the version.
///
/// Every other path is answered 404, and every other method 405. With axum, use the service as a
/// router's `fallback_service`, or under a prefix. Cloning it is cheap:
///
/// ```
/// # use axum::Router;
/// # use caracal_revocation_layer::Operations;
/// # fn example(operations: Operations) -> Router {
/// Router::new().nest_service("/internal", operations) // answers /internal/ready
/// # }
/// ```
#[derive(Clone)]
pub struct Operations {
    revocations: Revocations,
    render: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    /// The token for `/metrics` and for details.
    bearer: Option<BearerToken>,
    shows_details: bool,
    has_page: bool,
    reload: Option<ReloadAccess>,
    conditions: Vec<Condition>,
    began: Moment,
}

#[derive(Clone)]
struct Condition {
    name: &'static str,
    holds: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Operations {
    /// Creates a service that reports the readiness of this state.
    #[must_use]
    pub fn new(revocations: Revocations) -> Self {
        Self {
            began: revocations.now(),
            revocations,
            render: None,
            bearer: None,
            shows_details: false,
            has_page: false,
            reload: None,
            conditions: Vec::new(),
        }
    }

    /// Answers `/metrics` with the text that `render` returns, in Prometheus' format. Any exporter
    /// can render it, such as `Exporter` (feature `prometheus`).
    #[must_use]
    pub fn with_metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.render = Some(Arc::new(render));
        self
    }

    /// Requires this bearer token at `/metrics`; probes need none. The same token shows the details
    /// at `/status`. With an empty token, `/metrics` answers every request 401.
    #[must_use]
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.bearer = Some(BearerToken::new(token));
        self
    }

    /// Shows the details at `/status` and `/` to every client, without a token: positions in the
    /// streams, gaps, counts and the version. Only for an address that operators alone can reach.
    #[must_use]
    pub const fn insecure_show_details(mut self) -> Self {
        self.shows_details = true;
        self
    }

    /// Answers `/` with a page for people. It needs no script and no other file, and loads itself
    /// again every 5 seconds.
    #[cfg(feature = "status-page")]
    #[must_use]
    pub const fn with_page(mut self) -> Self {
        self.has_page = true;
        self
    }

    /// Answers `POST /revocations/reload`, for requests with this bearer token. `start` begins a
    /// reload, such as `Reload::start` of a follower's handle.
    ///
    /// The token should be another one than that of [`with_bearer`](Self::with_bearer), which every
    /// scraper has. With an empty token, every request is answered 401.
    ///
    /// ```
    /// use caracal_revocation_layer::Operations;
    /// use caracal_revocation_state::{Options, ReloadStart, RevocationsWriter};
    /// use http::{Request, StatusCode};
    /// use tower::ServiceExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let revocations = RevocationsWriter::new(Options::default()).reader();
    /// // With a follower: let reload = follower.reload_handle(); … move || reload.start()
    /// let operations = Operations::new(revocations)
    ///     .with_reload("a-long-random-token", || ReloadStart::Accepted);
    ///
    /// let request = Request::post("/revocations/reload")
    ///     .header("Authorization", "Bearer a-long-random-token");
    /// let answer = operations.oneshot(request.body(())?).await?;
    /// assert_eq!(answer.status(), StatusCode::ACCEPTED);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_reload(
        mut self,
        token: &str,
        start: impl Fn() -> ReloadStart + Send + Sync + 'static,
    ) -> Self {
        self.reload = Some(ReloadAccess { token: BearerToken::new(token), start: Arc::new(start) });
        self
    }

    /// Adds a condition for readiness. While `holds` returns `false`, `/ready` answers 503 with
    /// `name` as the reason.
    #[must_use]
    pub fn ready_if(
        mut self,
        name: &'static str,
        holds: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        self.conditions.push(Condition { name, holds: Arc::new(holds) });
        self
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        if path == "/revocations/reload" {
            return self.reload(method, headers);
        }
        let is_own = match path {
            "/health" | "/ready" | "/status" => true,
            "/metrics" => self.render.is_some(),
            "/" => self.has_page,
            _ => false,
        };
        if !is_own {
            return plain(StatusCode::NOT_FOUND, "not found\n");
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return method_not_allowed("GET, HEAD");
        }
        match path {
            "/health" => json(StatusCode::OK, &Report::alive()),
            "/ready" => self.ready(),
            "/status" => self.status(headers, |status, _| json(StatusCode::OK, status)),
            "/metrics" => self.metrics(headers),
            _ => self.page(query, headers),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let readiness = self.revocations.readiness(self.revocations.now());
        let report = Report::of(&readiness, self.unmet());
        let status = match report.reason {
            None => StatusCode::OK,
            Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        json(status, &report)
    }

    /// Returns the name of the first condition that does not hold.
    fn unmet(&self) -> Option<&'static str> {
        let unmet = self.conditions.iter().find(|condition| !(condition.holds)());
        unmet.map(|condition| condition.name)
    }

    /// Answers with the status, and the reason that it has no details, if it has none.
    fn status(
        &self,
        headers: &HeaderMap,
        answer: impl FnOnce(&Status, &'static str) -> Response<Full<Bytes>>,
    ) -> Response<Full<Bytes>> {
        let presented = self.bearer.as_ref().map(|bearer| bearer.presented(headers));
        let (shows, hidden) = match presented {
            _ if self.shows_details => (true, ""),
            Some(Presented::Right) => (true, ""),
            Some(Presented::Wrong) => return unauthorized("this is not the bearer token\n"),
            Some(Presented::Nothing) => (false, "Only /status shows them, with the bearer token."),
            None => (false, "They are off: no bearer token is configured."),
        };
        let now = self.revocations.now();
        let began = shows.then_some(self.began);
        answer(&Status::of(&self.revocations, self.unmet(), now, began), hidden)
    }

    #[cfg(feature = "status-page")]
    fn page(&self, query: Option<&str>, headers: &HeaderMap) -> Response<Full<Bytes>> {
        self.status(headers, |status, hidden| {
            let mut response =
                plain(StatusCode::OK, page::render(status, hidden, Refresh::of(query)));
            for (name, value) in PAGE_HEADERS {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        })
    }

    #[cfg(not(feature = "status-page"))]
    fn page(&self, _: Option<&str>, _: &HeaderMap) -> Response<Full<Bytes>> {
        plain(StatusCode::NOT_FOUND, "not found\n")
    }

    fn reload(&self, method: &Method, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let answer = ReloadAnswer::to(self.reload.as_ref(), method, headers);
        let mut response = json(answer.code, &answer);
        match answer.code {
            StatusCode::METHOD_NOT_ALLOWED => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            StatusCode::UNAUTHORIZED => {
                let scheme = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            _ => {}
        }
        response
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let Some(render) = &self.render else {
            return plain(StatusCode::NOT_FOUND, "no exporter\n");
        };
        let presented = self.bearer.as_ref().map(|bearer| bearer.presented(headers));
        if presented.is_some_and(|presented| presented != Presented::Right) {
            return unauthorized("a bearer token is needed\n");
        }
        let mut response = plain(StatusCode::OK, render());
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, format);
        response
    }
}

impl<B> Service<Request<B>> for Operations {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let uri = request.uri();
        let answer = self.answer(request.method(), uri.path(), uri.query(), request.headers());
        ready(Ok(answer))
    }
}

/// The answer if the bearer token is missing or wrong.
fn unauthorized(text: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::UNAUTHORIZED, text);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn method_not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, format!("{allowed}\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    // Texts, numbers and lists always serialize.
    let mut response = plain(status, serde_json::to_vec(body).unwrap_or_default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
