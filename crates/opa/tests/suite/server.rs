//! The OPA engine, over its REST API.
//!
//! By default it talks to [`Recorded`]. With `OPA_URL` set, the tests named `real_…` run against
//! that OPA instead, one at a time (see `.config/nextest.toml`). A real OPA checks four more
//! things: its compiler accepts the modules, its responses match the recorded ones, it rejects the
//! deletion of a needed module, and a replacement takes effect with the next query. Tests that need
//! an OPA which restarts, hangs or loads bundles always use the recorded one.
//! `tests/recorded/README.md` describes the origin of the responses.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_opa::{
    DecisionError, EvaluationError, OpaEngine, OpaServer, PolicyBundle, PolicyEffect, PolicyEngine,
    PrepareError, ZonePolicies,
};
use caracal_test_support::opa::*;
use http::StatusCode;
use serde_json::json;

use crate::recorded::{CONFLICT, Recorded, UNAUTHORIZED};

/// Returns the server of a test named `real_…`, and the recorded OPA if it is that.
async fn opa() -> (Option<Recorded>, OpaServer) {
    if let Ok(url) = std::env::var("OPA_URL") {
        let server = OpaServer::new(url.split(',').next().unwrap()).unwrap();
        return (None, server.with_timeout(Duration::from_secs(10)));
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
    ZonePolicies::new(revocations.reader(), script.clone(), engine)
}

#[tokio::test]
async fn real_pushed_bundle_decides_until_the_next_replaces_it() {
    let (_recorded, server) = opa().await;
    let script = Script::new();
    script.holds(pushed("v1", "allow"));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    let decision = policies.decide(input()).await.unwrap();
    assert_eq!((decision.effect, &*decision.version), (PolicyEffect::Allow, "v1"));
    assert_eq!(decision.determining_policies[0], json!({ "id": "v1" }));
    script.holds(pushed("v2", "deny"));
    policies.refresh(ZONE).await.unwrap();
    let decision = policies.decide(input()).await.unwrap();
    assert_eq!((decision.effect, &*decision.version), (PolicyEffect::Deny, "v2"));
}

#[tokio::test]
async fn real_rejected_bundle_leaves_the_last_good_one() {
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
    assert_eq!((decision.effect, &*decision.version), (PolicyEffect::Allow, "v1"));
    assert_eq!(decision.determining_policies[0], json!({ "id": "v1" }));
}

/// Returns a bundle of two modules, of which the first needs the second.
fn of_two(version: &str) -> PolicyBundle {
    let module = deciding_module("allow")
        .replace(r#"input.principal.id == "app-1""#, "data.helpers.is_good(input.principal.id)");
    let helper = "package helpers\nimport rego.v1\nis_good(id) if id == \"app-1\"";
    sealed(
        PolicyBundle::new(version)
            .with_module("a.rego", module)
            .with_module("z.rego", helper)
            .with_data(json!({ "name": version })),
    )
}

/// The bundle has two modules: OPA lists them in any order, and rejects one of the deletes.
#[tokio::test]
async fn real_pushes_dependent_modules_in_any_order() {
    let (_recorded, server) = opa().await;
    let script = Script::new();
    script.holds(of_two("v1"));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    assert_eq!(policies.decide(input()).await.unwrap().effect, PolicyEffect::Allow);
    for (version, bundle) in [("v2", pushed("v2", "deny")), ("v3", of_two("v3"))] {
        script.holds(bundle);
        let status = policies.refresh(ZONE).await.unwrap();
        assert_eq!((status.trouble, status.version.as_deref()), (None, Some(version)));
    }
    let decision = policies.decide(input()).await.unwrap();
    assert_eq!(decision.determining_policies[0], json!({ "id": "v3" }));
}

#[tokio::test]
async fn real_push_replaces_data_of_an_earlier_process() {
    let (_recorded, server) = opa().await;
    let script = Script::new();
    let leftover = r#"package caracal.authz
import rego.v1
default result := {"decision": "deny", "evaluation_status": "complete",
    "determining_policies": [], "diagnostics": []}
result := {"decision": "allow", "evaluation_status": "complete",
    "determining_policies": [], "diagnostics": []} if input.principal.id in data.admins
"#;
    let bundle = PolicyBundle::new("v1").with_module("authz.rego", leftover);
    script.holds(sealed(bundle.clone().with_data(json!({ "admins": ["app-1"] }))));
    let earlier = zones(&script, OpaEngine::new().pushing(ZONE, server.clone()));
    assert_eq!(earlier.decide(input()).await.unwrap().effect, PolicyEffect::Allow);
    drop(earlier);
    // The same modules, but without the admin in the data.
    script.holds(sealed(bundle.with_data(json!({}))));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    assert_eq!(policies.decide(input()).await.unwrap().effect, PolicyEffect::Deny);
}

#[tokio::test]
async fn real_undefined_result_is_an_error_without_a_push() {
    let (recorded, server) = opa().await;
    let script = Script::new();
    let module = "package caracal.authz\nimport rego.v1\nresult := 1 if input.nothing";
    script.holds(sealed(PolicyBundle::new("v1").with_module("authz.rego", module)));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    for _ in 0..3 {
        let undefined = policies.decide(input()).await.unwrap_err();
        assert_eq!(undefined, EvaluationError::Undefined.into());
    }
    assert_eq!(script.loads(), 1);
    if let Some(recorded) = recorded {
        let puts = recorded.with(|held| held.requests.iter().filter(is_put).count());
        assert_eq!(puts, 3, "the engine's own module before and after, and the pushed one");
    }
}

fn is_put(request: &&String) -> bool {
    request.starts_with("PUT")
}

#[tokio::test]
async fn real_contradictory_policy_is_an_error() {
    let (recorded, server) = opa().await;
    let script = Script::new();
    let module = "package caracal.authz\nimport rego.v1\nresult := 1\nresult := 2";
    script.holds(sealed(PolicyBundle::new("v1").with_module("authz.rego", module)));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    if let Some(recorded) = recorded {
        // Embedded Rego does not compile it.
        script.holds(pushed("v1", "allow"));
        policies.decide(input()).await.unwrap();
        let failed = (StatusCode::INTERNAL_SERVER_ERROR, CONFLICT);
        recorded.with(|held| held.failure = Some(failed));
    }
    let failed = policies.decide(input()).await.unwrap_err();
    let DecisionError::Evaluation(EvaluationError::Failed(text)) = failed else {
        panic!("{failed:?}");
    };
    assert!(text.contains("complete rules must not produce multiple outputs"), "{text}");
}

#[tokio::test]
async fn real_decides_only_with_the_bundle_it_pushed() {
    let (_recorded, server) = opa().await;
    let (ours, theirs) = (Script::new(), Script::new());
    ours.holds(pushed("v2", "deny"));
    theirs.holds(pushed("v1", "allow"));
    let policies = zones(&ours, OpaEngine::new().pushing(ZONE, server.clone()));
    assert_eq!(policies.decide(input()).await.unwrap().effect, PolicyEffect::Deny);
    // Another process with an older source pushes to the same OPA.
    let behind = zones(&theirs, OpaEngine::new().pushing(ZONE, server));
    assert_eq!(behind.decide(input()).await.unwrap().effect, PolicyEffect::Allow);
    let decision = policies.decide(input()).await.unwrap();
    assert_eq!((decision.effect, &*decision.version), (PolicyEffect::Deny, "v2"));
}

#[tokio::test]
async fn real_does_not_push_a_bundle_twice() {
    let (recorded, server) = opa().await;
    let script = Script::new();
    script.holds(of_two("v1"));
    let one = zones(&script, OpaEngine::new().pushing(ZONE, server.clone()));
    one.decide(input()).await.unwrap();
    let puts =
        |recorded: &Recorded| recorded.with(|held| held.requests.iter().filter(is_put).count());
    let before = recorded.as_ref().map(puts);
    let other = zones(&script, OpaEngine::new().pushing(ZONE, server));
    other.decide(input()).await.unwrap();
    one.decide(input()).await.unwrap();
    assert_eq!(recorded.as_ref().map(puts), before);
}

#[tokio::test]
async fn pushes_again_to_an_opa_that_restarted_empty() {
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
    assert_eq!(policies.decide(input()).await.unwrap().effect, PolicyEffect::Allow);
    assert!(recorded.with(|held| !held.policies.is_empty()));
}

#[tokio::test]
async fn interrupted_push_leaves_no_mixed_policy() {
    // OPA fails after each possible number of requests.
    for good_for in 0..16 {
        let (recorded, address) = Recorded::start().await;
        let script = Script::new();
        script.holds(of_two("v1"));
        let server = OpaServer::new(&address).unwrap().with_timeout(Duration::from_secs(10));
        let policies = zones(&script, OpaEngine::new().pushing(ZONE, server.clone()));
        policies.decide(input()).await.unwrap();
        let unavailable = (StatusCode::SERVICE_UNAVAILABLE, UNAUTHORIZED);
        recorded.with(|held| (held.good_for, held.failure) = (Some(good_for), Some(unavailable)));
        script.holds(pushed("v2", "deny"));
        let pushing = policies.refresh(ZONE).await.unwrap();
        recorded.with(|held| (held.good_for, held.failure) = (None, None));
        // Queries by the digest never see a mixture of both versions.
        let mixed = recorded.with(|held| {
            let whole =
                held.policies.get("caracal/pushed").is_some_and(|own| own.contains("digest"));
            let two = held.policies.len() == 3 && held.data["name"] == "v1";
            let one = held.policies.len() == 2 && held.data["name"] == "v2";
            whole && !two && !one
        });
        assert!(!mixed, "after {good_for} requests");
        if pushing.trouble.is_some() {
            let decided = policies.decide(input()).await;
            assert!(
                decided.is_ok_and(|decision| &*decision.version == "v2"),
                "the bundle is pushed again"
            );
        }
        let decision = policies.decide(input()).await.unwrap();
        assert_eq!((&*decision.version, decision.effect), ("v2", PolicyEffect::Deny), "{good_for}");
    }
}

#[tokio::test]
async fn denies_when_opa_fails_or_hangs() {
    let (recorded, address) = Recorded::start().await;
    let script = Script::new();
    script.holds(pushed("v1", "allow"));
    let server = OpaServer::new(&address).unwrap().with_timeout(Duration::from_millis(500));
    let policies = zones(&script, OpaEngine::new().pushing(ZONE, server));
    eventually_allows(&policies).await;
    recorded.with(|held| held.failure = Some((StatusCode::UNAUTHORIZED, UNAUTHORIZED)));
    let error = policies.decide(input()).await.unwrap_err();
    let DecisionError::Evaluation(EvaluationError::Unreachable(text)) = error else {
        panic!("{error:?}");
    };
    assert!(text.contains("request rejected by administrative policy"), "{text}");
    for nonsense in ["", "<html>", "[]", r#"{"result": 7}"#] {
        recorded.with(|held| held.failure = Some((StatusCode::OK, nonsense)));
        assert!(policies.decide(input()).await.is_err(), "{nonsense}");
    }
    recorded.with(|held| (held.failure, held.silent) = (None, true));
    assert!(policies.decide(input()).await.is_err());
    recorded.with(|held| held.silent = false);
    eventually_allows(&policies).await;
}

async fn eventually_allows(policies: &ZonePolicies) {
    for _ in 0..200 {
        if policies
            .decide(input())
            .await
            .is_ok_and(|decision| decision.effect == PolicyEffect::Allow)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never allowed: {:?}", policies.statuses());
}

#[tokio::test]
async fn awaited_revision_decides_only_once_active() {
    let (recorded, address) = Recorded::start().await;
    recorded.with(|held| {
        held.policies.insert("authz".to_owned(), deciding_module("allow"));
        held.data.insert("name".to_owned(), json!("opa's own"));
    });
    let server = OpaServer::new(&address).unwrap().with_timeout(Duration::from_secs(10));
    let engine = OpaEngine::new().awaiting(ZONE, server, "authz");
    let early =
        async |why: &str| match engine.prepare(ZONE, Arc::new(PolicyBundle::new("v1"))).await {
            Err(PrepareError::Unavailable(text)) => assert!(text.contains(why), "{text}"),
            _ => panic!("{why}"),
        };
    early("status plugin not enabled").await;
    recorded.with(|held| held.has_status = true);
    early("the active revision is None").await;
    recorded.with(|held| held.revision = Some("v0".to_owned()));
    early(r#"the active revision is Some("v0")"#).await;
    let script = Script::new();
    script.holds(sealed(PolicyBundle::new("v1")));
    let policies = zones(&script, engine);
    assert!(policies.decide(input()).await.is_err());
    recorded.with(|held| held.revision = Some("v1".to_owned()));
    eventually_allows(&policies).await;
    // An answer from another revision is an error, whether older or newer.
    recorded.with(|held| held.revision = Some("v0".to_owned()));
    let other = policies.decide(input()).await.unwrap_err();
    assert_eq!(other, EvaluationError::OtherVersion.into());
    let requests = recorded.with(|held| held.requests.clone());
    assert!(!requests.iter().any(|request| request.starts_with("PUT")), "{requests:?}");
}

#[tokio::test]
async fn rejects_zone_without_its_own_opa() {
    let server = OpaServer::new("http://127.0.0.1:9").unwrap();
    let engine = OpaEngine::new().pushing("a", server.clone()).pushing("b", server);
    for zone in ["a", "b", "c"] {
        let result = engine.prepare(zone, Arc::new(PolicyBundle::new("v"))).await;
        assert!(matches!(result, Err(PrepareError::Rejected(_))), "{zone}");
    }
}

#[test]
fn debug_output_hides_token_and_address() {
    let server = OpaServer::new("http://user-secret@host:1").unwrap();
    let server = server.with_token("hunter2").unwrap();
    let shown = format!("{server:?} {:?}", OpaEngine::new().pushing(ZONE, server.clone()));
    assert!(!shown.contains("hunter2") && !shown.contains("user-secret"), "{shown}");
}
