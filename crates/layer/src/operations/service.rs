//! The service for probes and metrics.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use caracal_revocation_state::{
    Degraded, NotReady, OutageCause, Readiness, Revocations, UnknownCause,
};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use subtle::ConstantTimeEq;
use tower_service::Service;

use crate::bearer::Authorization;

/// A service that answers `GET` and `HEAD` of `/metrics`, `/health` and `/ready`.
///
/// | path | answer |
/// |---|---|
/// | `/health` | 200 while the process answers: a state that is not ready is no reason to restart the process |
/// | `/ready` | 200 while requests can be admitted, else 503, with the reason as JSON |
/// | `/metrics` | the text of [`with_metrics`](Self::with_metrics), else 404 |
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
    bearer: Option<Arc<[u8]>>,
    conditions: Vec<Condition>,
}

#[derive(Clone)]
struct Condition {
    name: &'static str,
    holds: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The JSON body of `/health` and `/ready`.
#[derive(Default, Serialize)]
struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    staleness_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    horizon: Option<i64>,
}

impl Operations {
    /// Creates a service that reports the readiness of this state.
    #[must_use]
    pub fn new(revocations: Revocations) -> Self {
        Self { revocations, render: None, bearer: None, conditions: Vec::new() }
    }

    /// Answers `/metrics` with the text that `render` returns, in Prometheus' format. Any exporter
    /// can render it, such as `Exporter` (feature `prometheus`).
    #[must_use]
    pub fn with_metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.render = Some(Arc::new(render));
        self
    }

    /// Requires this bearer token at `/metrics`; probes need none. With an empty token, `/metrics`
    /// answers every request 401.
    #[must_use]
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.as_bytes().into());
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

    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let is_own = match path {
            "/health" | "/ready" => true,
            "/metrics" => self.render.is_some(),
            _ => false,
        };
        if !is_own {
            return plain(StatusCode::NOT_FOUND, "not found\n");
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/health" => Report { status: "alive", ..Report::default() }.response(),
            "/ready" => self.readiness().response(),
            _ => self.metrics(headers),
        }
    }

    fn readiness(&self) -> Report {
        let readiness = self.revocations.readiness(self.revocations.now());
        let reason = match readiness.unready {
            Some(unready) => Some(unready.label()),
            None => {
                let unmet = self.conditions.iter().find(|condition| !(condition.holds)());
                unmet.map(|condition| condition.name)
            }
        };
        Report {
            status: if reason.is_none() { "ready" } else { "unready" },
            reason,
            degraded: readiness.degraded.map(Degraded::label),
            advice: advice(&readiness),
            outage: readiness.outage.map(OutageCause::label),
            staleness_seconds: readiness.staleness.map(|age| age.as_secs_f64()),
            horizon: readiness.horizon,
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let Some(render) = &self.render else {
            return plain(StatusCode::NOT_FOUND, "no exporter\n");
        };
        if !self.may_scrape(headers) {
            let mut response = plain(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        let mut response = plain(StatusCode::OK, render());
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, format);
        response
    }

    fn may_scrape(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.bearer else { return true };
        let header = Authorization::of(headers).ok().flatten();
        let token = header.and_then(|header| header.token().ok());
        // The time depends only on the lengths, not on the place of the first difference.
        token.is_some_and(|token| !token.is_empty() && bool::from(token.as_bytes().ct_eq(expected)))
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
        ready(Ok(self.answer(request.method(), request.uri().path(), request.headers())))
    }
}

/// Returns the advice about the first problem: no history, unreadable streams, an alarm.
fn advice(readiness: &Readiness) -> Option<&'static str> {
    match (readiness.unready, readiness.outage, readiness.degraded) {
        // An outage of Redis is the reason why the history is not read.
        (Some(UnknownCause::NotReady(NotReady::Replaying)), Some(outage), _) => {
            Some(outage.advice())
        }
        (Some(UnknownCause::NotReady(why)), ..) => Some(why.advice()),
        (_, Some(outage), _) => Some(outage.advice()),
        (.., degraded) => degraded.map(Degraded::advice),
    }
}

impl Report {
    fn response(&self) -> Response<Full<Bytes>> {
        let status = match self.reason {
            None => StatusCode::OK,
            Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        // Text and a number always serialize.
        let mut response = plain(status, serde_json::to_vec(self).unwrap_or_default());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
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
