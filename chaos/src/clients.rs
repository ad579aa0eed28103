//! Clients that send requests and probes without end, and record the answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use fastrand::Rng;
use http::{HeaderMap, Request as HttpRequest, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use crate::history::{Answer, Class, NO_ANSWER, Probe, Request, Route};
use crate::reader::{ANSWER, GATEWAY_PATH, POLICY_PATH, READY, RESOURCE_PATH, STS_PATH};
use crate::readers::Reader;
use crate::world::World;

/// The pace of most clients.
pub const REQUEST_EVERY: Duration = Duration::from_millis(40);
const TIMEOUT: Duration = Duration::from_secs(3);
/// The grant of a token exchange.
const EXCHANGE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
const PROBE_EVERY: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct Client(HttpClient<HttpConnector, Full<Bytes>>);

impl Client {
    pub fn new() -> Self {
        Self(HttpClient::builder(TokioExecutor::new()).build_http())
    }

    /// Sends requests to one reader until dropped.
    pub async fn keep_requesting(
        self,
        world: &World,
        reader: &Reader,
        mut rng: Rng,
        pace: Duration,
    ) -> Infallible {
        loop {
            tokio::time::sleep(pace).await;
            if let Some((token, _)) = world.truth.pick(&mut rng) {
                self.request(world, reader, token).await;
            }
        }
    }

    /// Probes the readiness of one reader until dropped.
    pub async fn keep_probing(self, world: &World, reader: &Reader) -> Infallible {
        loop {
            tokio::time::sleep(PROBE_EVERY).await;
            self.probe(world, reader).await;
        }
    }

    async fn probe(&self, world: &World, reader: &Reader) -> Option<()> {
        let current = reader.current()?;
        let url = format!("http://{}{READY}", current.address);
        let request = HttpRequest::get(url).body(Full::default()).ok()?;
        let sent = world.clock.now();
        let response = async {
            let (head, body) = self.0.request(request).await.ok()?.into_parts();
            Some((head.status, body.collect().await.ok()?.to_bytes()))
        };
        let response = tokio::time::timeout(TIMEOUT, response).await.ok().flatten();
        let received = world.clock.now();
        let unready = match response {
            Some((StatusCode::OK, _)) => None,
            Some((status, body)) => Some(reason(status, &body)),
            None => Some(NO_ANSWER.to_owned()),
        };
        world.truth.probed(Probe { life: current.life, sent, received, unready });
        Some(())
    }

    /// Sends one request. Returns the answer, or `None` if the reader is down.
    pub async fn request(&self, world: &World, reader: &Reader, token: usize) -> Option<Answer> {
        let class = world.truth.class(token);
        let route = route_for(class);
        self.request_at(world, reader, token, route).await
    }

    /// Sends one request to this service. Returns the answer, or `None` if the reader is down.
    pub async fn request_at(
        &self,
        world: &World,
        reader: &Reader,
        token: usize,
        route: Route,
    ) -> Option<Answer> {
        let current = reader.current()?;
        let request = build(world, current.address, token, route)?;
        let class = world.truth.class(token);
        let sent = world.clock.now();
        let answer = self.answer(request, class).await;
        let received = world.clock.now();
        let request =
            Request { life: current.life, route, token, sent, received, answer: answer.clone() };
        world.truth.requested(request);
        Some(answer)
    }

    /// Sends one request to the gateway, without a record of it.
    pub async fn ask(&self, world: &World, reader: &Reader, token: usize) -> Option<Answer> {
        let current = reader.current()?;
        let request = build(world, current.address, token, Route::Gateway)?;
        Some(self.answer(request, world.truth.class(token)).await)
    }

    async fn answer(&self, request: HttpRequest<Full<Bytes>>, class: Class) -> Answer {
        let answer = tokio::time::timeout(TIMEOUT, self.send(request, class)).await;
        answer.ok().flatten().unwrap_or(Answer::None)
    }

    async fn send(&self, request: HttpRequest<Full<Bytes>>, class: Class) -> Option<Answer> {
        let response = self.0.request(request).await.ok()?;
        let answer = parse_answer(response.status(), response.headers(), class);
        response.into_body().collect().await.ok()?;
        Some(answer)
    }
}

/// Chooses the service: a token of a rare class has only one.
fn route_for(class: Class) -> Route {
    match class {
        Class::Epoch | Class::Keyed => Route::Resource,
        Class::Policy => Route::Policy,
        Class::Plain => match fastrand::u8(..20) {
            0..3 => Route::Resource,
            3..6 => Route::Sts,
            6..9 => Route::Policy,
            9 => Route::TwoHeaders,
            _ => Route::Gateway,
        },
    }
}

fn build(
    world: &World,
    address: SocketAddr,
    token: usize,
    route: Route,
) -> Option<HttpRequest<Full<Bytes>>> {
    let text = world.truth.text(token);
    let path = match route {
        Route::Gateway | Route::TwoHeaders => GATEWAY_PATH,
        Route::Resource => RESOURCE_PATH,
        Route::Policy => POLICY_PATH,
        Route::Sts => STS_PATH,
    };
    let url = format!("http://{address}{path}");
    let bearer = |text: &str| format!("Bearer {text}");
    if route == Route::Sts {
        let form = format!("grant_type={EXCHANGE}&subject_token={text}");
        return HttpRequest::post(url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form))
            .ok();
    }
    let mut request = HttpRequest::get(url);
    if route == Route::TwoHeaders {
        let good = world.truth.some_good(&mut Rng::new(), 1);
        let good = world.truth.text(*good.first()?);
        request = request.header(header::AUTHORIZATION, bearer(&good));
    }
    request.header(header::AUTHORIZATION, bearer(&text)).body(Full::default()).ok()
}

/// Returns the answer that the header names, if the status agrees with it. Every class of tokens is
/// revoked in its own way.
fn parse_answer(status: StatusCode, headers: &HeaderMap, class: Class) -> Answer {
    let name = headers.get(ANSWER).and_then(|name| name.to_str().ok()).unwrap_or("nothing");
    match (status, name) {
        (StatusCode::OK, "admitted") => Answer::Admitted,
        (StatusCode::UNAUTHORIZED, "revoked" | "suspended") => Answer::Revoked,
        (StatusCode::UNAUTHORIZED, "delegation_stale") if class == Class::Epoch => Answer::Revoked,
        (StatusCode::UNAUTHORIZED, "invalid_mandate") if class == Class::Keyed => Answer::Revoked,
        (StatusCode::FORBIDDEN, "denied") if class == Class::Policy => Answer::Revoked,
        (StatusCode::UNAUTHORIZED, "ambiguous_token") => Answer::Ambiguous,
        (StatusCode::UNAUTHORIZED, "history_incomplete") => Answer::HistoryIncomplete,
        (StatusCode::SERVICE_UNAVAILABLE, "stale") => Answer::Stale,
        (StatusCode::SERVICE_UNAVAILABLE, "policy_unusable") => Answer::NoPolicy,
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready" | "full") => Answer::NotReady,
        (status, name) => Answer::Other(format!("{status} {name}")),
    }
}

/// Returns the reason that a reader reports for not being ready.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let report: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    report["reason"].as_str().map_or_else(|| status.to_string(), ToOwned::to_owned)
}
