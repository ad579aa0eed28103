use std::time::Duration;

use caracal_revocation_state::{ManualClock, NotReady, Options, OutageCause, RevocationsWriter};
use http::header::AUTHORIZATION;

use super::*;

fn state() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (RevocationsWriter::with_clock(Options::default(), clock.clone()), clock)
}

fn get(operations: &Operations, path: &str, headers: &[(http::HeaderName, &str)]) -> (u16, String) {
    use http_body_util::BodyExt;
    let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
    let response = operations.answer(&Method::GET, path, None, &headers.collect());
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
    for path in ["/health", "/ready", "/metrics", "/status"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let response = operations.answer(&method, path, None, &HeaderMap::new());
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        }
        let [head, get] = [Method::HEAD, Method::GET]
            .map(|method| operations.answer(&method, path, None, &HeaderMap::new()).status());
        assert_eq!(head, get, "{path}");
    }
    let posted = operations.answer(&Method::POST, "/orders/ready", None, &HeaderMap::new());
    assert_eq!(posted.status(), StatusCode::NOT_FOUND);
    // Without an exporter, `/metrics` does not exist either.
    let bare = Operations::new(state().0.reader());
    let posted = bare.answer(&Method::POST, "/metrics", None, &HeaderMap::new());
    assert_eq!(posted.status(), StatusCode::NOT_FOUND);
}

fn json(
    operations: &Operations,
    path: &str,
    headers: &[(http::HeaderName, &str)],
) -> serde_json::Value {
    let (status, body) = get(operations, path, headers);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn status_shows_details_only_with_the_token() {
    let (revocations, clock) = state();
    let open = Operations::new(revocations.reader());
    clock.advance(Duration::from_millis(1_500));
    let public = json(&open, "/status", &[]);
    assert_eq!(public["reason"], "replaying");
    assert_eq!(public["staleness_bound_seconds"], 60.0);
    assert!(public["details"].is_null(), "no token is configured: {public}");
    let with = |token| [(AUTHORIZATION, token)];
    assert!(json(&open, "/status", &with("Bearer s3cret"))["details"].is_null());

    let closed = open.clone().with_bearer("s3cret");
    assert_eq!(json(&closed, "/status", &[]), public, "the public part needs no token");
    assert_eq!(json(&closed, "/status", &with("Basic s3cret")), public);
    for wrong in ["Bearer s3creT", "Bearer s3cre", "Bearer s3crett", "Bearer a b"] {
        assert_eq!(get(&closed, "/status", &with(wrong)).0, 401, "{wrong}");
    }
    let details = &json(&closed, "/status", &with("Bearer s3cret"))["details"];
    assert_eq!((&details["uptime_seconds"], &details["entries"]), (&1.5.into(), &0.into()));
    assert_eq!(details["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(*details, json(&open.clone().insecure_show_details(), "/status", &[])["details"]);
    let nobodys = open.with_bearer("");
    assert_eq!(json(&nobodys, "/status", &with("Bearer"))["details"], serde_json::Value::Null);
}

#[test]
fn status_is_200_in_every_state_and_says_what_ready_says() {
    let (revocations, clock) = state();
    let operations = Operations::new(revocations.reader()).ready_if("canary", || false);
    let changes: [&dyn Fn(); 5] = [
        &|| {},
        &|| revocations.confirm(revocations.now()),
        &|| revocations.raise_horizon(i64::try_from(revocations.now().wall.as_secs()).unwrap()),
        &|| _ = revocations.set_outage(Some(OutageCause::Timeout)),
        &|| clock.advance(Duration::from_secs(61)),
    ];
    for change in changes {
        change();
        let mut status = json(&operations, "/status", &[]);
        let ready: serde_json::Value =
            serde_json::from_str(&get(&operations, "/ready", &[]).1).unwrap();
        status.as_object_mut().unwrap().remove("staleness_bound_seconds");
        assert_eq!(status, ready);
    }
    assert_eq!(json(&operations, "/status", &[])["reason"], "stale");
}

/// Returns the status, the JSON body and the answer's headers.
fn reload(
    operations: &Operations,
    method: Method,
    token: Option<&str>,
) -> (u16, serde_json::Value, HeaderMap) {
    use http_body_util::BodyExt;
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, token.parse().unwrap());
    }
    let response = operations.answer(&method, "/revocations/reload", None, &headers);
    let (parts, body) = response.into_parts();
    let body = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap();
    let json = serde_json::from_slice(&body.to_bytes()).unwrap();
    (parts.status.as_u16(), json, parts.headers)
}

#[test]
fn only_post_with_the_token_begins_a_reload() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let operations = Operations::new(state().0.reader()).with_bearer("scrape").with_reload(
        "s3cret",
        move || {
            count.fetch_add(1, Ordering::Relaxed);
            ReloadStart::Accepted
        },
    );
    for wrong in
        [None, Some("Bearer s3creT"), Some("Bearer scrape"), Some("Basic s3cret"), Some("")]
    {
        let (status, body, headers) = reload(&operations, Method::POST, wrong);
        assert_eq!((status, &body["status"]), (401, &"unauthorized".into()), "{wrong:?}");
        assert_eq!(headers[WWW_AUTHENTICATE], "Bearer");
    }
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let (status, body, headers) = reload(&operations, method, Some("Bearer s3cret"));
        assert_eq!((status, &body["status"]), (405, &"method_not_allowed".into()));
        assert_eq!(headers[ALLOW], "POST");
    }
    assert_eq!(begun.load(Ordering::Relaxed), 0);
    let (status, body, headers) = reload(&operations, Method::POST, Some("Bearer s3cret"));
    assert_eq!((status, body), (202, serde_json::json!({"status": "accepted"})));
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    assert!(!format!("{operations:?}").contains("s3cret"));

    let nobodys = Operations::new(state().0.reader()).with_reload("", || ReloadStart::Accepted);
    for token in [None, Some("Bearer"), Some("Bearer ")] {
        assert_eq!(reload(&nobodys, Method::POST, token).0, 401, "{token:?}");
    }
}

#[test]
fn reload_answers_name_the_reason() {
    use caracal_revocation_state::ReloadObstacle::{NoFollower, Outage};

    let bare = Operations::new(state().0.reader());
    for method in [Method::POST, Method::GET] {
        let (status, body, _) = reload(&bare, method, Some("Bearer s3cret"));
        assert_eq!((status, &body["status"]), (404, &"not_configured".into()));
        assert!(body["reason"].as_str().unwrap().contains("no bearer token"), "{body}");
    }
    let answer = |start: ReloadStart| {
        let operations = bare.clone().with_reload("s3cret", move || start);
        let (status, body, _) = reload(&operations, Method::POST, Some("Bearer s3cret"));
        (status, body)
    };
    let running = serde_json::json!({"status": "already_running"});
    assert_eq!(answer(ReloadStart::AlreadyRunning), (409, running));
    for (obstacle, reason) in
        [(NoFollower, "no_follower"), (Outage(OutageCause::Timeout), "timeout")]
    {
        let (status, body) = answer(ReloadStart::NotPossible(obstacle));
        assert_eq!((status, &body["status"]), (503, &"not_possible".into()));
        assert_eq!((&body["reason"], &body["advice"]), (&reason.into(), &obstacle.advice().into()));
    }
}
