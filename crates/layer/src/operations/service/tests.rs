use std::time::Duration;

use caracal_revocation_state::{ManualClock, Options, RevocationsWriter};
use http::header::AUTHORIZATION;

use super::*;

fn state() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (RevocationsWriter::with_clock(Options::default(), clock.clone()), clock)
}

fn get(operations: &Operations, path: &str, headers: &[(http::HeaderName, &str)]) -> (u16, String) {
    use http_body_util::BodyExt;
    let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
    let response = operations.answer(&Method::GET, path, &headers.collect());
    let status = response.status().as_u16();
    let body = futures_util::FutureExt::now_or_never(response.into_body().collect());
    (status, String::from_utf8(body.unwrap().unwrap().to_bytes().to_vec()).unwrap())
}

fn ready_status(operations: &Operations) -> String {
    let (status, body) = get(operations, "/ready", &[]);
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    match status {
        200 => json["status"].as_str().unwrap().to_owned(),
        503 => json["reason"].as_str().unwrap().to_owned(),
        other => panic!("{other}"),
    }
}

#[test]
fn is_ready_while_state_is_fresh_else_gives_reason() {
    let (revocations, clock) = state();
    let operations = Operations::new(revocations.reader());
    assert_eq!(ready_status(&operations), "replaying");
    revocations.set_not_ready(NotReady::NoSignatureVerifies);
    assert_eq!(ready_status(&operations), "no_signature_verifies");
    revocations.confirm(revocations.now());
    assert_eq!(ready_status(&operations), "ready");
    clock.advance(Duration::from_secs(60));
    assert_eq!(ready_status(&operations), "ready");
    clock.advance(Duration::from_millis(1));
    assert_eq!(ready_status(&operations), "stale");
}

#[test]
fn names_the_setting_to_correct() {
    let (revocations, _clock) = state();
    let operations = Operations::new(revocations.reader());
    let ready_body = |status: u16| {
        let (answered, body) = get(&operations, "/ready", &[]);
        assert_eq!(answered, status, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    revocations.set_not_ready(NotReady::NotProvisioned);
    let not_provisioned = ready_body(503);
    assert_eq!(not_provisioned["reason"], "not_provisioned");
    let advice = not_provisioned["advice"].as_str().unwrap();
    assert!(advice.contains("REDIS_URL") && advice.contains("database number"), "{advice}");
    assert!(advice.contains("caracal-streams provision"), "{advice}");

    revocations.set_not_ready(NotReady::NoSignatureVerifies);
    assert!(ready_body(503)["advice"].as_str().unwrap().contains("STREAMS_HMAC_KEY"));

    revocations.confirm(revocations.now());
    assert!(ready_body(200)["advice"].is_null());
    revocations.set_signatures_fail(true);
    let degraded = ready_body(200);
    assert_eq!(
        (&degraded["status"], &degraded["degraded"]),
        (&"ready".into(), &"signatures_fail".into())
    );
    assert!(degraded["advice"].as_str().unwrap().contains("STREAMS_HMAC_KEY"));
    revocations.set_outage(Some(OutageCause::Unreachable));
    assert_eq!(ready_body(200)["advice"], OutageCause::Unreachable.advice());
    revocations.set_outage(None);
    revocations.set_signatures_fail(false);
    assert!(ready_body(200)["degraded"].is_null());
}

#[test]
fn is_alive_in_every_state() {
    let operations = Operations::new(state().0.reader());
    assert_eq!(get(&operations, "/health", &[]), (200, r#"{"status":"alive"}"#.into()));
}

#[test]
fn is_ready_only_if_every_condition_holds() {
    let (revocations, _) = state();
    revocations.confirm(revocations.now());
    let canary = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = canary.clone();
    let operations = Operations::new(revocations.reader())
        .ready_if("canary", move || seen.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(ready_status(&operations), "ready");
    canary.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(ready_status(&operations), "canary");
}

#[test]
fn shows_metrics_only_with_the_token() {
    let open = Operations::new(state().0.reader()).with_metrics(|| "x 1\n".into());
    assert_eq!(get(&open, "/metrics", &[]), (200, "x 1\n".into()));
    let closed = open.clone().with_bearer("s3cret");
    let with = |value| get(&closed, "/metrics", &[(AUTHORIZATION, value)]).0;
    assert_eq!(get(&closed, "/metrics", &[]).0, 401);
    assert_eq!(with("Bearer s3cret"), 200);
    for wrong in ["Bearer s3creT", "Bearer s3cre", "Bearer s3crett", "Basic s3cret", "s3cret"] {
        assert_eq!(with(wrong), 401, "{wrong}");
    }
    assert_eq!(get(&closed, "/ready", &[]).0, 503, "probes need no token");
    let nobodys = open.with_bearer("");
    for value in ["Bearer ", "Bearer", ""] {
        assert_eq!(get(&nobodys, "/metrics", &[(AUTHORIZATION, value)]).0, 401, "{value:?}");
    }
    assert!(!format!("{closed:?}").contains("s3cret"));
}

#[test]
fn answers_only_its_own_paths() {
    let operations = Operations::new(state().0.reader());
    assert_eq!(get(&operations, "/health", &[]).0, 200);
    assert_eq!(get(&operations, "/metrics", &[]).0, 404, "no exporter");
    let others = [
        "/",
        "",
        "/healthy",
        "/health/x",
        "/internal/health",
        "/orders/ready",
        "/users/metrics",
        "//health",
        "/health/",
        "/Health",
        "/%68ealth",
        "health",
    ];
    for path in others {
        assert_eq!(get(&operations, path, &[]).0, 404, "{path}");
    }
}

#[test]
fn answers_only_get_and_head() {
    let operations = Operations::new(state().0.reader()).with_metrics(|| "x 1\n".into());
    for path in ["/health", "/ready", "/metrics"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let response = operations.answer(&method, path, &HeaderMap::new());
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        }
        let [head, get] = [Method::HEAD, Method::GET]
            .map(|method| operations.answer(&method, path, &HeaderMap::new()).status());
        assert_eq!(head, get, "{path}");
    }
    let posted = operations.answer(&Method::POST, "/orders/ready", &HeaderMap::new());
    assert_eq!(posted.status(), StatusCode::NOT_FOUND);
    // Without an exporter, `/metrics` does not exist either.
    let bare = Operations::new(state().0.reader());
    let posted = bare.answer(&Method::POST, "/metrics", &HeaderMap::new());
    assert_eq!(posted.status(), StatusCode::NOT_FOUND);
}
