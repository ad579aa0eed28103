//! The OPA engine against the documented REST API.
//!
//! By itself it talks to [`Recorded`]: a server that answers as OPA's documentation says, with
//! the policies evaluated by embedded Rego. With `OPA_URL` set, the tests marked *real* run
//! against that OPA instead, one after the other (`--test-threads 1`). What only a real OPA shows:
//! that its compiler takes the modules, that its answers are the documented ones, and that a
//! module replaced over `PUT` takes effect with the next query. Bundles, status and provenance
//! need a configured OPA, and are always recorded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod stage;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation_opa::{
    Effect, Evaluation, EvaluationError, NoDecision, OpaEngine, OpaServer, PolicyBundle,
    PolicyEngine, PolicyInput, PrepareError, RegoEngine, ZonePolicies,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use stage::*;

/// What the recorded server holds, and how it misbehaves.
#[derive(Default)]
struct Held {
    policies: BTreeMap<String, String>,
    data: serde_json::Map<String, Value>,
    revision: Option<String>,
    refuse: Option<StatusCode>,
    silent: bool,
    requests: Vec<String>,
}

#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Held>>);

impl Recorded {
    async fn start() -> (Self, String) {
        let this = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = this.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let serving = serving.clone();
                        async move { Ok::<_, Infallible>(serving.answer(request).await) }
                    });
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
        (this, address)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path().to_owned();
        self.with(|held| held.requests.push(format!("{} {}", parts.method, parts.uri)));
        if self.with(|held| held.silent) {
            std::future::pending::<()>().await;
        }
        if let Some(status) = self.with(|held| held.refuse) {
            return json_answer(
                status,
                &json!({ "code": "internal_error", "message": "storage is away" }),
            );
        }
        match (&parts.method, path.as_str()) {
            (&Method::GET, "/v1/policies") => {
                let list: Vec<_> = self.with(|held| {
                    held.policies.iter().map(|(id, raw)| json!({ "id": id, "raw": raw })).collect()
                });
                json_answer(StatusCode::OK, &json!({ "result": list }))
            }
            (&Method::GET, "/v1/status") => {
                let revision = self.with(|held| held.revision.clone());
                json_answer(
                    StatusCode::OK,
                    &json!({ "result": { "bundles": { "authz": {
                        "name": "authz", "active_revision": revision,
                        "last_successful_activation": "2026-11-20T10:00:00Z",
                    } } } }),
                )
            }
            (&Method::PUT, path) if path.starts_with("/v1/policies/") => {
                self.put_policy(path.trim_start_matches("/v1/policies/"), &body).await
            }
            (&Method::DELETE, path) if path.starts_with("/v1/policies/") => {
                let id = path.trim_start_matches("/v1/policies/");
                match self.with(|held| held.policies.remove(id)) {
                    Some(_) => json_answer(StatusCode::OK, &json!({})),
                    None => not_found(),
                }
            }
            (&Method::PUT, path) if path.starts_with("/v1/data/") => {
                let name = path.trim_start_matches("/v1/data/").to_owned();
                let value = serde_json::from_slice(&body).unwrap();
                self.with(|held| held.data.insert(name, value));
                Response::builder().status(204).body(Full::default()).unwrap()
            }
            (&Method::DELETE, path) if path.starts_with("/v1/data/") => {
                match self.with(|held| held.data.remove(path.trim_start_matches("/v1/data/"))) {
                    Some(_) => Response::builder().status(204).body(Full::default()).unwrap(),
                    None => not_found(),
                }
            }
            (&Method::POST, "/v1/data/caracal/authz/result") => {
                let mut answer = self.query(&body).await;
                if parts.uri.query() == Some("provenance=true") {
                    let revision = self.with(|held| held.revision.clone());
                    answer["provenance"] = json!({
                        "version": "1.10.0", "bundles": { "authz": { "revision": revision } },
                    });
                }
                json_answer(StatusCode::OK, &answer)
            }
            _ => not_found(),
        }
    }

    async fn put_policy(&self, id: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let source = String::from_utf8(body.to_vec()).unwrap();
        if source.contains("{{{") {
            return json_answer(
                StatusCode::BAD_REQUEST,
                &json!({
                    "code": "invalid_parameter",
                    "message": "error(s) occurred while compiling module(s)",
                    "errors": [{
                        "code": "rego_parse_error", "message": "unexpected { token",
                        "location": { "file": id, "row": 3, "col": 1 },
                    }],
                }),
            );
        }
        // As OPA does: a function that no module holds yet is an error.
        let needs_helper = source.contains("data.helpers.is_good(");
        let has_helper = self
            .with(|held| held.policies.values().any(|source| source.contains("package helpers")));
        if needs_helper && !has_helper {
            return json_answer(
                StatusCode::BAD_REQUEST,
                &json!({
                    "code": "invalid_parameter",
                    "message": "error(s) occurred while compiling module(s)",
                    "errors": [{
                        "code": "rego_type_error",
                        "message": "undefined function data.helpers.is_good",
                    }],
                }),
            );
        }
        self.with(|held| held.policies.insert(id.to_owned(), source));
        json_answer(StatusCode::OK, &json!({}))
    }

    async fn query(&self, body: &[u8]) -> Value {
        let body: Value = serde_json::from_slice(body).unwrap();
        let input = PolicyInput::from_value(body["input"].clone()).unwrap();
        let mut bundle = PolicyBundle::new("v");
        self.with(|held| {
            for (id, source) in &held.policies {
                bundle = bundle.clone().with_module(id, source);
            }
            bundle = bundle.clone().with_data(Value::Object(held.data.clone()));
        });
        let engine = RegoEngine::new().with_threads(1).with_time_limit(Duration::from_secs(5));
        let Ok(policy) = engine.prepare("z", Arc::new(bundle)).await else { return json!({}) };
        let result = match policy.evaluate(&input) {
            Evaluation::Ready(result) => result,
            Evaluation::Pending(result) => result.await,
        };
        result.map_or(json!({}), |result| json!({ "result": result }))
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let body = Full::from(serde_json::to_vec(body).unwrap());
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

fn not_found() -> Response<Full<Bytes>> {
    let body = json!({ "code": "resource_not_found", "message": "storage_not_found_error" });
    json_answer(StatusCode::NOT_FOUND, &body)
}

/// The OPA of a *real* test, and the recorded one if it is that.
async fn opa() -> (Option<Recorded>, OpaServer) {
    if let Ok(url) = std::env::var("OPA_URL") {
        return (None, OpaServer::new(&url).unwrap());
    }
    let (recorded, address) = Recorded::start().await;
    (Some(recorded), OpaServer::new(&address).unwrap().with_timeout(Duration::from_secs(10)))
}

fn deciding_module(decision: &str) -> String {
    format!(
        r#"package caracal.authz
import rego.v1
default result := {{"decision": "deny", "evaluation_status": "complete",
    "determining_policies": [], "diagnostics": []}}
result := {{"decision": "{decision}", "evaluation_status": "complete",
    "determining_policies": [{{"id": data.name}}], "diagnostics": []}} if {{
    input.principal.id == "app-1"
}}
"#
    )
}

fn pushed(version: &str, decision: &str) -> PolicyBundle {
    sealed(
        PolicyBundle::new(version)
            .with_module("authz.rego", deciding_module(decision))
            .with_data(json!({ "name": version })),
    )
}

fn zones(script: &Script, engine: OpaEngine) -> ZonePolicies {
    let (revocations, _) = fresh();
    ZonePolicies::new(revocations, script.clone(), engine)
}

#[tokio::test]
async fn real_a_bundle_is_pushed_and_decides_and_the_next_one_replaces_it() {
    let (_recorded, server) = opa().await;
    let script = Script::new();
    script.holds(pushed("v1", "allow"));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    let decision = policies.decide(input()).await.unwrap();
    assert_eq!((decision.effect, &*decision.version), (Effect::Allow, "v1"));
    assert_eq!(decision.determining_policies[0], json!({ "id": "v1" }));
    script.holds(pushed("v2", "deny"));
    policies.refresh(ZONE).await.unwrap();
    let decision = policies.decide(input()).await.unwrap();
    assert_eq!((decision.effect, &*decision.version), (Effect::Deny, "v2"));
}

#[tokio::test]
async fn real_a_bundle_that_opa_refuses_leaves_the_last_good_one_whole() {
    let (_recorded, server) = opa().await;
    let script = Script::new();
    script.holds(pushed("v1", "allow"));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    policies.decide(input()).await.unwrap();
    script.holds(sealed(
        PolicyBundle::new("v2")
            .with_module("a.rego", deciding_module("deny"))
            .with_module("b.rego", "package caracal.other\nimport rego.v1\nx := {{{")
            .with_data(json!({ "name": "v2" })),
    ));
    let status = policies.refresh(ZONE).await.unwrap();
    assert_eq!(status.trouble.map(|trouble| trouble.label()), Some("broken"));
    let decision = policies.decide(input()).await.unwrap();
    assert_eq!((decision.effect, &*decision.version), (Effect::Allow, "v1"));
    assert_eq!(decision.determining_policies[0], json!({ "id": "v1" }));
}

#[tokio::test]
async fn real_modules_may_need_those_that_come_after_them() {
    let (_recorded, server) = opa().await;
    let script = Script::new();
    let module = deciding_module("allow")
        .replace(r#"input.principal.id == "app-1""#, "data.helpers.is_good(input.principal.id)");
    let helper = "package helpers\nimport rego.v1\nis_good(id) if id == \"app-1\"";
    script.holds(sealed(
        PolicyBundle::new("v1")
            .with_module("a.rego", module)
            .with_module("z.rego", helper)
            .with_data(json!({ "name": "v1" })),
    ));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    assert_eq!(policies.decide(input()).await.unwrap().effect, Effect::Allow);
}

#[tokio::test]
async fn an_opa_that_restarts_empty_is_pushed_to_again() {
    let (recorded, address) = Recorded::start().await;
    let script = Script::new();
    script.holds(pushed("v1", "allow"));
    let server = OpaServer::new(&address).unwrap().with_timeout(Duration::from_secs(10));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    policies.decide(input()).await.unwrap();
    recorded.with(|held| {
        held.policies.clear();
        held.data.clear();
    });
    assert_eq!(policies.decide(input()).await.unwrap().effect, Effect::Allow);
    assert!(recorded.with(|held| !held.policies.is_empty()));
}

#[tokio::test]
async fn an_opa_that_fails_or_is_silent_is_denied() {
    let (recorded, address) = Recorded::start().await;
    let script = Script::new();
    script.holds(pushed("v1", "allow"));
    let server = OpaServer::new(&address).unwrap().with_timeout(Duration::from_millis(500));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    eventually_allows(&policies).await;
    recorded.with(|held| held.refuse = Some(StatusCode::INTERNAL_SERVER_ERROR));
    let failed = policies.decide(input()).await.unwrap_err();
    assert!(matches!(failed, NoDecision::Evaluation(EvaluationError::Failed(_))), "{failed:?}");
    recorded.with(|held| held.refuse = Some(StatusCode::UNAUTHORIZED));
    let refused = policies.decide(input()).await.unwrap_err();
    let is_away = matches!(refused, NoDecision::Evaluation(EvaluationError::Unreachable(_)));
    assert!(is_away, "{refused:?}");
    recorded.with(|held| (held.refuse, held.silent) = (None, true));
    assert!(policies.decide(input()).await.is_err());
    recorded.with(|held| held.silent = false);
    eventually_allows(&policies).await;
}

async fn eventually_allows(policies: &ZonePolicies) {
    for _ in 0..200 {
        if policies.decide(input()).await.is_ok_and(|decision| decision.effect == Effect::Allow) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never allowed: {:?}", policies.statuses());
}

#[tokio::test]
async fn an_awaited_revision_decides_only_once_opa_has_activated_it() {
    let (recorded, address) = Recorded::start().await;
    recorded.with(|held| {
        held.policies.insert("authz".to_owned(), deciding_module("allow"));
        held.data.insert("name".to_owned(), json!("opa's own"));
        held.revision = Some("v0".to_owned());
    });
    let server = OpaServer::new(&address).unwrap().with_timeout(Duration::from_secs(10));
    let engine = OpaEngine::new().awaiting(ZONE, server, "authz");
    let early = engine.prepare(ZONE, Arc::new(PolicyBundle::new("v1"))).await;
    assert!(matches!(early, Err(PrepareError::Unavailable(_))));
    let script = Script::new();
    script.holds(sealed(PolicyBundle::new("v1")));
    let policies = zones(&script, engine);
    assert!(policies.decide(input()).await.is_err());
    recorded.with(|held| held.revision = Some("v1".to_owned()));
    eventually_allows(&policies).await;
    // An answer from another revision is none: neither an older nor a newer one was asked for.
    recorded.with(|held| held.revision = Some("v0".to_owned()));
    let other = policies.decide(input()).await.unwrap_err();
    assert_eq!(other, EvaluationError::OtherVersion.into());
    let requests = recorded.with(|held| held.requests.clone());
    assert!(!requests.iter().any(|request| request.starts_with("PUT")), "{requests:?}");
}

#[tokio::test]
async fn a_zone_without_an_opa_or_with_that_of_another_is_refused() {
    let server = OpaServer::new("http://127.0.0.1:9").unwrap();
    let engine = OpaEngine::new().pushing("a", server.clone()).pushing("b", server);
    for zone in ["a", "b", "c"] {
        let refused = engine.prepare(zone, Arc::new(PolicyBundle::new("v"))).await;
        assert!(matches!(refused, Err(PrepareError::Refused(_))), "{zone}");
    }
}

#[test]
fn the_token_and_the_address_are_not_shown() {
    let server = OpaServer::new("http://user-secret@host:1").unwrap();
    let server = server.with_token("hunter2").unwrap();
    let shown = format!("{server:?} {:?}", OpaEngine::new().pushing(ZONE, server.clone()));
    assert!(!shown.contains("hunter2") && !shown.contains("user-secret"), "{shown}");
}
