//! A server that answers like OPA. Its responses in `tests/recorded/` come from a real OPA; only
//! the parts that a request names are filled in. Embedded Rego evaluates the policies.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation_opa::{Evaluation, PolicyBundle, PolicyEngine, PolicyInput, RegoEngine};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};

/// The server's content and its faults.
#[derive(Default)]
pub(crate) struct ServerState {
    pub(crate) policies: BTreeMap<String, String>,
    pub(crate) data: BTreeMap<String, Value>,
    /// Revision of the bundle `authz`, if OPA's configuration names one.
    pub(crate) revision: Option<String>,
    /// `true` if the configuration enables the status plugin.
    pub(crate) has_status: bool,
    pub(crate) failure: Option<(StatusCode, &'static str)>,
    /// Number of further requests to answer before `failure` applies.
    pub(crate) good_for: Option<usize>,
    pub(crate) silent: bool,
    pub(crate) requests: Vec<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Recorded(Arc<Mutex<ServerState>>);

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../recorded/", $name, ".json"))
    };
}

pub(crate) const UNAUTHORIZED: &str = recorded!("unauthorized");
pub(crate) const CONFLICT: &str = recorded!("evaluation_conflict");
const DOES_NOT_PARSE: &str = recorded!("put_does_not_parse");
const UNDEFINED_FUNCTION: &str = recorded!("put_undefined_function");
const STILL_NEEDED: &str = recorded!("delete_still_needed");
const NO_POLICY: &str = recorded!("policy_not_found");
const NO_DATA: &str = recorded!("data_not_found");
const STATUS: &str = recorded!("status");
const NO_STATUS: &str = recorded!("status_not_enabled");
const PROVENANCE: &str = recorded!("provenance");
const POLICIES: &str = recorded!("policies");

const OK: StatusCode = StatusCode::OK;
const BAD: StatusCode = StatusCode::BAD_REQUEST;
const ABSENT: StatusCode = StatusCode::NOT_FOUND;

impl Recorded {
    pub(crate) async fn start() -> (Self, String) {
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

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut ServerState) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.with(|held| held.requests.push(format!("{} {}", parts.method, parts.uri)));
        if self.with(|held| held.silent) {
            std::future::pending::<()>().await;
        }
        if let Some((status, text)) = self.with(ServerState::next_failure) {
            return answered(status, text);
        }
        let path = parts.uri.path().trim_start_matches("/v1/");
        let (kind, rest) = path.split_once('/').unwrap_or((path, ""));
        match (&parts.method, kind) {
            (&Method::GET, "policies") => self.with(|held| held.list()),
            (&Method::PUT, "policies") => self.with(|held| held.put_policy(rest, &body)),
            (&Method::DELETE, "policies") => self.with(|held| held.delete_policy(rest)),
            (&Method::PUT, "data") => {
                let value = serde_json::from_slice(&body).unwrap();
                self.with(|held| held.data.insert(rest.to_owned(), value));
                no_content()
            }
            (&Method::DELETE, "data") => match self.with(|held| held.data.remove(rest)) {
                Some(_) => no_content(),
                None => answered(ABSENT, NO_DATA),
            },
            (&Method::GET, "status") => self.with(|held| held.status()),
            (&Method::GET | &Method::POST, "data") => {
                let mut answer = match rest {
                    "caracal/authz/result" => self.result(&body).await,
                    "caracal_pushed/answer" => self.pushed_answer(&body).await,
                    rest => {
                        self.with(|held| held.pushed(rest.trim_start_matches("caracal_pushed/")))
                    }
                };
                if parts.uri.query() == Some("provenance=true") {
                    answer["provenance"] = self.with(|held| held.provenance());
                }
                answered(OK, &answer.to_string())
            }
            other => panic!("{other:?} is no request of the documented API"),
        }
    }

    /// Evaluates `data.caracal.authz.result`.
    async fn result(&self, body: &[u8]) -> Value {
        let body: Value = serde_json::from_slice(body).unwrap();
        let input = PolicyInput::from_value(body["input"].clone()).unwrap();
        let bundle = self.with(|held| {
            let data = held.data.clone().into_iter().collect();
            let bundle = PolicyBundle::new("v").with_data(Value::Object(data));
            let own = held.policies.iter().filter(|(id, _)| *id != "caracal/pushed");
            own.fold(bundle, |bundle, (id, source)| bundle.with_module(id, source))
        });
        let engine = RegoEngine::new().with_threads(1).with_time_limit(Duration::from_secs(5));
        let Ok(policy) = engine.prepare("z", Arc::new(bundle)).await else { return json!({}) };
        let result = match policy.evaluate(&input) {
            Evaluation::Ready(result) => result,
            Evaluation::Pending(result) => result.await,
        };
        result.map_or(json!({}), |result| json!({ "result": result }))
    }

    /// Evaluates the rule `answer := {"digest": digest, "result": data.caracal.authz.result}`.
    async fn pushed_answer(&self, body: &[u8]) -> Value {
        let digest = self.with(|held| held.pushed("digest"));
        let result = self.result(body).await;
        match (digest.get("result"), result.get("result")) {
            (Some(digest), Some(result)) => {
                json!({ "result": { "digest": digest, "result": result } })
            }
            _ => json!({}),
        }
    }
}

impl ServerState {
    fn next_failure(&mut self) -> Option<(StatusCode, &'static str)> {
        match &mut self.good_for {
            Some(0) | None => self.failure,
            Some(left) => {
                *left -= 1;
                None
            }
        }
    }

    fn list(&self) -> Response<Full<Bytes>> {
        let recorded: Value = serde_json::from_str(POLICIES).unwrap();
        let entry = |(id, raw): (&String, &String)| {
            let mut entry = recorded["result"][0].clone();
            (entry["id"], entry["raw"]) = (json!(id), json!(raw));
            entry
        };
        let list: Vec<_> = self.policies.iter().map(entry).collect();
        answered(OK, &json!({ "result": list }).to_string())
    }

    fn put_policy(&mut self, id: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let source = String::from_utf8(body.to_vec()).unwrap();
        if source.contains("{{{") {
            return answered(BAD, DOES_NOT_PARSE);
        }
        // OPA compiles all modules at each step.
        let mut policies = self.policies.clone();
        policies.insert(id.to_owned(), source);
        if lacks_a_function(&policies) {
            return answered(BAD, UNDEFINED_FUNCTION);
        }
        self.policies = policies;
        answered(OK, "{}\n")
    }

    fn delete_policy(&mut self, id: &str) -> Response<Full<Bytes>> {
        let mut policies = self.policies.clone();
        if policies.remove(id).is_none() {
            return answered(ABSENT, NO_POLICY);
        }
        if lacks_a_function(&policies) {
            return answered(BAD, STILL_NEEDED);
        }
        self.policies = policies;
        answered(OK, "{}\n")
    }

    /// Returns a constant rule of the engine's own module.
    fn pushed(&self, rule: &str) -> Value {
        let module = self.policies.get("caracal/pushed").map_or("", String::as_str);
        let start = format!("{rule} := ");
        match module.lines().find_map(|line| line.strip_prefix(&start)) {
            Some(value) => json!({ "result": serde_json::from_str::<Value>(value).unwrap() }),
            None => json!({}),
        }
    }

    fn status(&self) -> Response<Full<Bytes>> {
        if !self.has_status {
            return answered(StatusCode::INTERNAL_SERVER_ERROR, NO_STATUS);
        }
        let mut status: Value = serde_json::from_str(STATUS).unwrap();
        let bundle = &mut status["result"]["bundles"]["authz"];
        match &self.revision {
            Some(revision) => bundle["active_revision"] = json!(revision),
            // OPA omits it until a bundle was activated.
            None => drop(bundle.as_object_mut().unwrap().remove("active_revision")),
        }
        answered(OK, &status.to_string())
    }

    fn provenance(&self) -> Value {
        let mut provenance =
            serde_json::from_str::<Value>(PROVENANCE).unwrap()["provenance"].take();
        match &self.revision {
            Some(revision) => provenance["bundles"]["authz"]["revision"] = json!(revision),
            None => drop(provenance.as_object_mut().unwrap().remove("bundles")),
        }
        provenance
    }
}

/// Returns `true` if the one function of the tests is undefined, as OPA's compiler reports.
fn lacks_a_function(policies: &BTreeMap<String, String>) -> bool {
    let holds = |text: &str| policies.values().any(|source| source.contains(text));
    holds("data.helpers.is_good(") && !holds("package helpers")
}

fn answered(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::from(body.to_owned())).unwrap()
}

fn no_content() -> Response<Full<Bytes>> {
    Response::builder().status(StatusCode::NO_CONTENT).body(Full::default()).unwrap()
}
