//! End to end: a signed message in a real Redis, and a signed mandate in a real HTTP request.

use std::time::Duration;

use caracal_revocation::gateway::{GuardedRequestBody, RequestDenial, RequestDenialKind};
use caracal_revocation::state::{ManualClock, Options, RevocationsWriter};
use caracal_revocation::{Claims, Follower, GatewayLayer, Publisher};
use caracal_test_support::ports::free_port;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use tower::{Layer, ServiceExt, service_fn};

use crate::live::{eventually, follow, is_revoked, publisher, revoke, ring};
use crate::mandates::Issuer;
use crate::redis_server::RedisServer;
use crate::service::{TestClient, on_axum, on_hyper};

#[tokio::test]
async fn denies_revoked_mandate_on_axum_and_hyper() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    let issuer = Issuer::new().unwrap();
    let layer = GatewayLayer::new(revocations.clone());
    let axum = on_axum(layer.clone(), &issuer).await;
    let hyper = on_hyper(layer, &issuer).await;
    for (n, (address, client)) in [
        (axum, TestClient::http1()),
        (axum, TestClient::http2()),
        (hyper, TestClient::http1()),
        (hyper, TestClient::http2()),
    ]
    .into_iter()
    .enumerate()
    {
        let (good, bad) = (format!("good-{n}"), format!("bad-{n}"));
        let (good_token, bad_token) = (issuer.mint(&good).unwrap(), issuer.mint(&bad).unwrap());
        let seen = client.request_with_token(address, &bad_token).await;
        assert_eq!((seen.status, &seen.body[..]), (StatusCode::OK, &b"hello, admitted"[..]));

        revoke(&publisher, &bad).await;
        eventually("the session is revoked", || is_revoked(&revocations, &bad)).await;
        let header = format!("Bearer {bad_token}");
        let headers = [("authorization", header.as_str()), ("x-request-id", "req-7")];
        let seen = client.request(address, &headers).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
        let expected = serde_json::json!({
            "error": "invalid_token", "error_description": "session revoked", "requestId": "req-7",
        });
        assert_eq!(seen.json(), expected);
        assert_eq!(seen.header("x-request-id"), Some("req-7"));
        let challenge = r#"Bearer error="invalid_token", error_description="session revoked""#;
        assert_eq!(seen.header("www-authenticate"), Some(challenge));

        assert_eq!(client.request_with_token(address, &good_token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn denies_token_that_does_not_verify() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let (issuer, stranger) = (Issuer::new().unwrap(), Issuer::new().unwrap());
    let address = on_axum(GatewayLayer::new(revocations), &issuer).await;
    let client = TestClient::http1();
    let good = issuer.mint("ar-1").unwrap();
    let forged = stranger.mint("ar-1").unwrap();
    let stripped = &good[..=good.rfind('.').unwrap()];
    for token in [forged.as_str(), stripped, "a.b.c", "", "%00"] {
        let seen = client.request_with_token(address, token).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{token}");
        assert_eq!(seen.json()["error"], "invalid_token", "{token}");
    }
    let seen = client.request(address, &[]).await;
    assert_eq!(seen.json()["error_description"], "missing bearer token");
    let twice = format!("Bearer {good}");
    let seen =
        client.request(address, &[("authorization", &twice), ("authorization", &twice)]).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn unknown_state_is_an_outage_not_a_revocation() {
    // No program listens on this port: the follower never becomes ready.
    let url = format!("redis://127.0.0.1:{}", free_port().unwrap());
    let settings = crate::redis_server::settings(&url, &ring());
    let revocations = Follower::new(settings).spawn();
    let issuer = Issuer::new().unwrap();
    let address = on_axum(GatewayLayer::new(revocations), &issuer).await;
    let seen = TestClient::http1().request_with_token(address, &issuer.mint("ar-1").unwrap()).await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.json()["error"], "sts_unavailable");
    assert_eq!(seen.json()["error_description"], "revocation state unavailable");
    assert_eq!(seen.header("www-authenticate"), None);
}

#[tokio::test]
async fn observe_only_denies_nothing() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let issuer = Issuer::new().unwrap();
    let layer = GatewayLayer::new(revocations.clone()).insecure_observe_only();
    let address = on_axum(layer, &issuer).await;
    revoke(&publisher(&server).await, "ar-1").await;
    eventually("ar-1 is revoked", || is_revoked(&revocations, "ar-1")).await;
    let seen = TestClient::http1().request_with_token(address, &issuer.mint("ar-1").unwrap()).await;
    assert_eq!((seen.status, &seen.body[..]), (StatusCode::OK, &b"hello, anonymous"[..]));
}

#[tokio::test]
async fn service_runs_without_a_server() {
    let clock = std::sync::Arc::new(ManualClock::new());
    let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
    revocations.confirm(revocations.now());
    let service = GatewayLayer::new(revocations.reader()).layer(service_fn(
        async |_: Request<GuardedRequestBody<()>>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from("hello")))
        },
    ));
    let request = || {
        let mut request = Request::new(());
        request.extensions_mut().insert(Claims::new("ar-1", 1_795_400_000, 1_795_403_600));
        request
    };
    let response = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");

    clock.advance(Duration::from_secs(61));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let kind = response.extensions().get::<RequestDenial>().map(RequestDenial::kind);
    assert_eq!(kind, Some(RequestDenialKind::Unknown));
}

#[tokio::test]
async fn in_process_stream_replaces_redis() {
    let key = caracal_revocation::wire::Key::generate().unwrap();
    let streams = caracal_revocation::InProcess::new();
    let keys = caracal_revocation::wire::KeyRing::new(key.clone());
    let revocations = Follower::in_process(&streams, keys).unwrap().spawn();
    crate::live::ready(&revocations).await;
    let issuer = Issuer::new().unwrap();
    let address = on_axum(GatewayLayer::new(revocations.clone()), &issuer).await;
    let (client, token) = (TestClient::http1(), issuer.mint("ar-1").unwrap());
    assert_eq!(client.request_with_token(address, &token).await.status, StatusCode::OK);
    revoke(&Publisher::in_process(&streams, None), "ar-1").await;
    revoke(&Publisher::in_process(&streams, Some(key)), "ar-2").await;
    eventually("ar-2 is revoked", || is_revoked(&revocations, "ar-2")).await;
    // The unsigned message was rejected.
    assert_eq!(client.request_with_token(address, &token).await.status, StatusCode::OK);
    let token = issuer.mint("ar-2").unwrap();
    assert_eq!(client.request_with_token(address, &token).await.status, StatusCode::UNAUTHORIZED);
}
