//! Clients that send requests and probes without end, and record the answers.

use std::convert::Infallible;
use std::time::Duration;

use fastrand::Rng;
use http::{HeaderMap, Request as HttpRequest, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use crate::history::{Answer, NO_ANSWER, Probe, Request};
use crate::reader::{ANSWER, READY};
use crate::readers::Reader;
use crate::world::World;

const TIMEOUT: Duration = Duration::from_secs(3);
const PROBE_EVERY: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct Client(HttpClient<HttpConnector, Empty<axum::body::Bytes>>);

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
        let request = HttpRequest::get(url).body(Empty::new()).ok()?;
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
        let current = reader.current()?;
        let request = HttpRequest::get(format!("http://{}/", current.address))
            .header(header::AUTHORIZATION, format!("Bearer {}", world.truth.text(token)))
            .body(Empty::new())
            .ok()?;
        let sent = world.clock.now();
        let answer = tokio::time::timeout(TIMEOUT, self.send(request)).await;
        let answer = answer.ok().flatten().unwrap_or(Answer::None);
        let received = world.clock.now();
        let request = Request { life: current.life, token, sent, received, answer: answer.clone() };
        world.truth.requested(request);
        Some(answer)
    }

    async fn send(&self, request: HttpRequest<Empty<axum::body::Bytes>>) -> Option<Answer> {
        let response = self.0.request(request).await.ok()?;
        let answer = parse_answer(response.status(), response.headers());
        response.into_body().collect().await.ok()?;
        Some(answer)
    }
}

/// Returns the answer that the header names, if the status agrees with it.
fn parse_answer(status: StatusCode, headers: &HeaderMap) -> Answer {
    let name = headers.get(ANSWER).and_then(|name| name.to_str().ok()).unwrap_or("nothing");
    match (status, name) {
        (StatusCode::OK, "admitted") => Answer::Admitted,
        (StatusCode::UNAUTHORIZED, "revoked") => Answer::Revoked,
        (StatusCode::UNAUTHORIZED, "history_incomplete") => Answer::HistoryIncomplete,
        (StatusCode::SERVICE_UNAVAILABLE, "stale") => Answer::Stale,
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready") => Answer::NotReady,
        (status, name) => Answer::Other(format!("{status} {name}")),
    }
}

/// Returns the reason that a reader reports for not being ready.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let report: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    report["reason"].as_str().map_or_else(|| status.to_string(), ToOwned::to_owned)
}
