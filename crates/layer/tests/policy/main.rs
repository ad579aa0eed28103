//! The policy layer, tested with single requests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation_layer::{
    BuildInput, ClaimsInput, PolicyDenial, PolicyDenialKind, PolicyLayer, RequestFacts,
};
use caracal_revocation_opa::{
    InvalidInput, PolicyBundle, PolicyDecision, PolicyInput, Principal, RegoEngine, Resource,
    ZonePolicies,
};
use caracal_revocation_state::{Admission, Checks, Claims, Revocations};
use caracal_test_support::opa::*;
use caracal_test_support::waiting::eventually;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt, service_fn};

fn resource() -> Resource {
    Resource::new("api", "r-1", "https://api.example").with_scope("read")
}

fn policies(script: &Script) -> (ZonePolicies, Revocations) {
    let (writer, _) = fresh();
    let policies = ZonePolicies::new(writer.reader(), script.clone(), Allowing::default());
    (policies, writer.reader())
}

/// Returns claims without a zone that are valid at the start of a `ManualClock`.
fn bare_claims() -> Claims {
    Claims::new("ar-1", 1_795_400_000, 1_795_403_600)
}

fn claims() -> Claims {
    let mut claims = bare_claims();
    claims.zone_id = Some(ZONE.into());
    claims
}

fn admitted(revocations: &Revocations, claims: &Claims) -> Admission {
    let identity = claims.clone().into();
    revocations.admit(&identity, &Checks::default(), revocations.now(), None).unwrap()
}

/// Returns a request that a gateway has admitted.
fn request(revocations: &Revocations, path: &str) -> Request<()> {
    let mut request = Request::get(path).body(()).unwrap();
    request.extensions_mut().insert(admitted(revocations, &claims()));
    request
}

struct Outcome {
    response: Response<Bytes>,
    seen: Option<Parts>,
}

impl Outcome {
    fn denied(&self) -> PolicyDenialKind {
        assert!(self.seen.is_none(), "the service was called");
        self.response.extensions().get::<PolicyDenial>().expect("a rejection").kind()
    }

    fn decision(&self) -> &PolicyDecision {
        assert_eq!(self.response.status(), 200);
        self.seen.as_ref().expect("called").extensions.get().expect("a decision")
    }

    fn answer(&self) -> (u16, serde_json::Value) {
        (self.response.status().into(), serde_json::from_slice(self.response.body()).unwrap())
    }
}

async fn send(layer: &PolicyLayer, request: Request<()>) -> Outcome {
    let seen = Arc::new(Mutex::new(None));
    let probe = Arc::clone(&seen);
    let service = layer.layer(service_fn(move |request: Request<()>| {
        *probe.lock().unwrap() = Some(request.into_parts().0);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("inner"))) }
    }));
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let seen = seen.lock().unwrap().take();
    Outcome { response: Response::from_parts(parts, body), seen }
}

#[tokio::test(start_paused = true)]
async fn allowed_request_carries_decision_and_version() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    for _ in 0..2 {
        let outcome = send(&layer, request(&revocations, "/")).await;
        assert_eq!(&*outcome.decision().version, "v1");
        assert_eq!(&*outcome.decision().zone, ZONE);
    }
}

#[tokio::test(start_paused = true)]
async fn denied_request_gets_403_access_denied() {
    let script = Script::new();
    script.holds(deciding("v1", "deny"));
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    let mut request = request(&revocations, "/");
    request.headers_mut().insert("x-request-id", "r-7".parse().unwrap());
    let outcome = send(&layer, request).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::Denied);
    let (status, body) = outcome.answer();
    assert_eq!(status, 403);
    assert_eq!((&body["error"], &body["requestId"]), (&"access_denied".into(), &"r-7".into()));
    assert_eq!(outcome.response.headers()["x-request-id"], "r-7");
    let rejection = outcome.response.extensions().get::<PolicyDenial>().unwrap();
    assert_eq!(&*rejection.decision().unwrap().version, "v1");
}

/// Returns a gRPC call as a client sends it.
fn call(revocations: &Revocations) -> Request<()> {
    let mut call = request(revocations, "/test.Echo/unary");
    *call.method_mut() = http::Method::POST;
    *call.version_mut() = http::Version::HTTP_2;
    for (name, value) in [("te", "trailers"), ("content-type", "application/grpc")] {
        call.headers_mut().insert(name, value.parse().unwrap());
    }
    call
}

#[tokio::test(start_paused = true)]
async fn denied_grpc_call_gets_a_grpc_status() {
    let script = Script::new();
    script.holds(deciding("v1", "deny"));
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    // The first call loads the policy, the second finds it loaded.
    for _ in 0..2 {
        let outcome = send(&layer, call(&revocations)).await;
        assert_eq!(outcome.denied(), PolicyDenialKind::Denied);
        let header = |name| outcome.response.headers()[name].to_str().unwrap();
        assert_eq!((outcome.response.status().as_u16(), header("grpc-status")), (200, "7"));
        assert_eq!(header("grpc-message"), "denied by policy");
        assert_eq!(header("content-type"), "application/grpc");
        assert!(outcome.response.headers().contains_key("grpc-status-details-bin"));
        assert!(outcome.response.body().is_empty());
    }
    // Neither HTTP/1.1 headers nor a missing `te` turn a denial into a 200.
    let mut plain = call(&revocations);
    plain.headers_mut().remove("te");
    assert_eq!(send(&layer, plain).await.answer().0, 403);
    let mut http1 = call(&revocations);
    *http1.version_mut() = http::Version::HTTP_11;
    assert_eq!(send(&layer, http1).await.answer().0, 403);
    // A gRPC-only service needs no `te`.
    let mut plain = call(&revocations);
    plain.headers_mut().remove("te");
    let outcome = send(&layer.grpc_only(), plain).await;
    assert_eq!(outcome.response.headers()["grpc-status"], "7");
}

#[tokio::test(start_paused = true)]
async fn unusable_policy_is_unavailable_over_grpc() {
    let script = Script::new();
    script.fails();
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    let outcome = send(&layer, call(&revocations)).await;
    assert_eq!(outcome.response.headers()["grpc-status"], "14");
}

#[tokio::test(start_paused = true)]
async fn unusable_or_failing_policy_gets_503() {
    let script = Script::new();
    script.fails();
    let (zones, revocations) = policies(&script);
    let layer = PolicyLayer::new(zones, ClaimsInput::new(resource()));
    let outcome = send(&layer, request(&revocations, "/")).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::PolicyUnusable);
    assert_eq!(outcome.answer().0, 503);

    script.holds(deciding("v1", "perhaps"));
    let (zones, revocations) = policies(&script);
    let layer = PolicyLayer::new(zones, ClaimsInput::new(resource()));
    let outcome = send(&layer, request(&revocations, "/")).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::EvaluationFailed);
    assert_eq!(outcome.answer().0, 503);
    assert_eq!(outcome.response.headers()["retry-after"], "1");
}

#[tokio::test(start_paused = true)]
async fn denies_request_without_admission() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    let mut bare = Request::new(());
    bare.extensions_mut().insert(claims());
    assert_eq!(send(&layer, bare).await.denied(), PolicyDenialKind::NotAdmitted);

    // Claims next to an admission have no effect.
    let checks = Checks::default();
    let mut unverified = Request::new(());
    let admission = revocations.admit_unverified(&claims(), &checks, revocations.now(), None);
    unverified.extensions_mut().insert(admission.unwrap());
    unverified.extensions_mut().insert(claims());
    assert_eq!(send(&layer, unverified).await.denied(), PolicyDenialKind::NoClaims);

    let mut no_zone = Request::new(());
    no_zone.extensions_mut().insert(admitted(&revocations, &bare_claims()));
    no_zone.extensions_mut().insert(claims());
    let outcome = send(&layer, no_zone).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::NoZone);
    assert_eq!(outcome.answer().0, 403);
}

#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the log of a policy layer while it answers these requests.
async fn logged(layer: &PolicyLayer, requests: Vec<Request<()>>) -> String {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    let _until_the_end = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    for request in requests {
        send(layer, request).await;
    }
    let written = logged.0.lock().unwrap().clone();
    String::from_utf8(written).unwrap()
}

#[tokio::test(start_paused = true)]
async fn logs_no_missing_gateway_after_one_admission() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    let other = layer.clone();
    let bare = || Request::new(());
    let log = logged(&layer, vec![request(&revocations, "/"), bare(), bare()]).await;
    assert_eq!(log.matches("request denied by policy").count(), 2, "{log}");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    let log = logged(&other, vec![bare()]).await;
    assert!(!log.contains("WARN"), "clones share the flag: {log}");
}

#[tokio::test(start_paused = true)]
async fn logs_once_that_no_gateway_admitted_anything() {
    let script = Script::new();
    let (policies, _) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    let foreign = request(&fresh().0, "/");
    let log = logged(&layer, vec![Request::new(()), Request::new(()), foreign]).await;
    assert_eq!(log.matches("if good ones are denied too").count(), 1, "{log}");
    assert_eq!(log.matches("by another `Revocations`").count(), 1, "{log}");
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
}

#[tokio::test(start_paused = true)]
async fn uses_only_the_policy_of_the_claims_zone() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies.clone(), ClaimsInput::new(resource())).in_zone("z-9");
    let outcome = send(&layer, request(&revocations, "/")).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::OtherZone);

    let elsewhere = |_: &RequestFacts<'_>| {
        PolicyInput::new(&Principal::new("application", "app-1", "z-9"), &resource(), "invoke")
    };
    let layer = PolicyLayer::new(policies.clone(), elsewhere);
    let outcome = send(&layer, request(&revocations, "/")).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::OtherZone);

    let invalid = |_: &RequestFacts<'_>| -> Result<PolicyInput, InvalidInput> {
        PolicyInput::from_value(serde_json::json!({}))
    };
    let layer = PolicyLayer::new(policies, invalid);
    let outcome = send(&layer, request(&revocations, "/")).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn denials_are_counted_by_their_reason() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (policies, _) = policies(&Script::new());
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    send(&layer, Request::new(())).await;
    let series =
        snapshotter.snapshot().into_vec().into_iter().filter_map(|(key, _, text, value)| {
            assert!(text.is_some(), "{key:?} is not described");
            let reason = key.key().labels().next().map(|label| label.value().to_owned());
            let denials = key.key().name() == "caracal_sts_opa_denials_total";
            (denials && value != DebugValue::Counter(0)).then_some((reason?, value))
        });
    let expected = [("not_admitted".to_owned(), DebugValue::Counter(1))];
    assert_eq!(series.collect::<Vec<_>>(), expected);
}

/// Allows an application that acts for itself, and one that acts for a subject with a label.
const CONTRACT: &str = r#"package caracal.authz
import rego.v1
answer(decision) := {"decision": decision, "evaluation_status": "complete",
    "determining_policies": [], "diagnostics": []}
default result := {"decision": "deny", "evaluation_status": "complete",
    "determining_policies": [], "diagnostics": []}
as_itself if {
    not input.delegation_edge
    not input.context.delegation_edge_id
    not input.context.agent_session_id
    not input.context.subject_claims
}
for_a_subject if {
    input.principal.type == "Application"
    input.principal.id == "app-1"
    "reader" in input.principal.labels
    input.context.subject_claims.scope == "read"
}
result := answer("allow") if as_itself
result := answer("allow") if for_a_subject
"#;

#[tokio::test]
async fn rego_sees_absent_claims_as_absent() {
    let script = Script::new();
    script.holds(sealed(PolicyBundle::new("v1").with_module("authz.rego", CONTRACT)));
    let (revocations, _) = fresh();
    let engine = RegoEngine::new().with_time_limit(Duration::from_secs(30));
    let policies = ZonePolicies::new(revocations.reader(), script.clone(), engine);
    let plain = PolicyLayer::new(policies.clone(), ClaimsInput::new(resource()));
    let known = ClaimsInput::new(resource());
    let enriched = PolicyLayer::new(policies, move |request: &RequestFacts<'_>| {
        let input = known.build(request)?.with_application("app-1").with_labels(["reader"]);
        Ok(input.with_subject_claim("scope", "read"))
    });
    let (mut delegated, mut agent) = (claims(), claims());
    delegated.delegation_edge_id = Some("de-1".into());
    agent.agent_session_id = Some("gs-1".into());
    for (claims, is_allowed) in [(claims(), true), (delegated, false), (agent, false)] {
        let request = || {
            let mut request = Request::get("/").body(()).unwrap();
            request.extensions_mut().insert(admitted(&revocations, &claims));
            request
        };
        let status = send(&plain, request()).await.response.status();
        assert_eq!(status == 200, is_allowed, "{claims:?}");
        assert_eq!(send(&enriched, request()).await.response.status(), 200, "{claims:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn invalidation_clears_cached_decisions_which_differ_by_path() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let (revocations, clock) = fresh();
    let engine = Allowing::default();
    let evaluations = Arc::clone(&engine.evaluations);
    let policies = ZonePolicies::new(revocations.reader(), script.clone(), engine);
    let layer = PolicyLayer::new(policies.clone(), ClaimsInput::new(resource()))
        .with_decision_cache(100, Duration::from_secs(3_600));
    let count = || evaluations.load(Ordering::SeqCst);
    send(&layer, request(&revocations, "/")).await;
    send(&layer, request(&revocations, "/")).await;
    assert_eq!(count(), 2, "the first request finds no policy version to cache under");
    assert!(send(&layer, request(&revocations, "/")).await.decision().cached);
    assert_eq!(count(), 2);
    assert!(!send(&layer, request(&revocations, "/other")).await.decision().cached);
    assert_eq!(count(), 3);

    // An invalidation clears the cache, even with the same version.
    invalidate(&revocations, "v1");
    eventually("confirmed", || status(&policies).invalidation_age.is_zero()).await;
    assert!(!send(&layer, request(&revocations, "/")).await.decision().cached);
    assert_eq!(count(), 4);

    // This invalidation brings a policy that denies.
    script.holds(deciding("v2", "deny"));
    invalidate(&revocations, "v2");
    eventually("v2", || serves(&policies, "v2")).await;
    let outcome = send(&layer, request(&revocations, "/")).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::Denied);

    // The bound on the policy's age denies cached decisions too.
    script.fails();
    clock.advance(Duration::from_secs(301));
    revocations.confirm(revocations.now());
    let outcome = send(&layer, request(&revocations, "/")).await;
    assert_eq!(outcome.denied(), PolicyDenialKind::PolicyUnusable);
}

#[tokio::test(start_paused = true)]
async fn nondeterministic_decisions_are_not_cached() {
    let script = Script::new();
    script.holds(sealed(PolicyBundle::new("v1").with_data(serde_json::json!({ "chance": 1 }))));
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()))
        .with_decision_cache(100, Duration::from_secs(3_600));
    for _ in 0..4 {
        assert!(!send(&layer, request(&revocations, "/")).await.decision().cached);
    }
}

#[tokio::test(start_paused = true)]
async fn replaces_decision_of_another_layer() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let (policies, revocations) = policies(&script);
    let layer = PolicyLayer::new(policies, ClaimsInput::new(resource()));
    let mut other = send(&layer, request(&revocations, "/")).await.decision().clone();
    other.version = "v0".into();
    let mut forged = request(&revocations, "/");
    forged.extensions_mut().insert(other);
    assert_eq!(&*send(&layer, forged).await.decision().version, "v1");
}
