//! A Redis without Caracal's streams: the wrong one, or not provisioned.

use caracal_revocation::state::{NotReady, UnknownCause};
use caracal_revocation::wire::Stream;
use caracal_revocation::{Follower, GatewayLayer, InProcess, Operations, Revocations, Settings};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::live::{eventually, is_admitted, is_unknown, ready, ring};
use crate::mandates::Issuer;
use crate::redis_server::{RedisServer, settings, settings_in};
use crate::service::{TestClient, on_axum};
use crate::snapshot::Logged;

const NOT_PROVISIONED: Option<UnknownCause> =
    Some(UnknownCause::NotReady(NotReady::NotProvisioned));

/// Returns settings of a service in production.
fn published(url: &str) -> Settings {
    settings_in("stable", url, &ring())
}

/// Creates streams with a group and no entries, as `caracal-streams provision` does.
async fn provision(server: &RedisServer, streams: &[Stream]) {
    let mut connection = server.connection().await;
    for stream in streams {
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(stream.name()).arg("group").arg("$").arg("MKSTREAM");
        create.exec_async(&mut connection).await.unwrap();
    }
}

async fn readiness(revocations: &Revocations) -> (StatusCode, Value) {
    let operations = Operations::new(revocations.clone());
    let response = operations.oneshot(Request::get("/ready").body(()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn redis_without_streams_is_not_ready_and_names_the_setting() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start();
    let revocations = Follower::new(published(&server.url())).spawn();
    eventually("the missing streams are detected", || is_unknown(&revocations) == NOT_PROVISIONED)
        .await;

    let issuer = Issuer::new().unwrap();
    let address = on_axum(GatewayLayer::new(revocations.clone()), &issuer).await;
    let client = TestClient::http1();
    let token = issuer.mint("ar-1").unwrap();
    assert_eq!(
        client.request_with_token(address, &token).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let (status, report) = readiness(&revocations).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(report["reason"], "not_provisioned");
    let advice = report["advice"].as_str().unwrap();
    assert!(advice.contains("REDIS_URL") && advice.contains("database number"), "{advice}");
    let [line] = logged.lines("none of Caracal's streams exists").try_into().unwrap();
    let database = format!("127.0.0.1:{}, database 0", server.port());
    assert!(line.contains("REDIS_URL") && line.contains(&database), "{line}");

    // One command creates them all; no restart is needed.
    provision(&server, &Stream::ALL).await;
    ready(&revocations).await;
    assert_eq!(client.request_with_token(address, &token).await.status, StatusCode::OK);
    assert!(logged.lines("do not exist yet").is_empty());
}

#[tokio::test]
async fn wrong_database_of_the_right_server_is_not_ready() {
    let server = RedisServer::start();
    provision(&server, &Stream::ALL).await;
    let right = Follower::new(published(&format!("{}/0", server.url()))).spawn();
    ready(&right).await;
    let wrong = Follower::new(published(&format!("{}/1", server.url()))).spawn();
    eventually("the missing streams are detected", || is_unknown(&wrong) == NOT_PROVISIONED).await;
}

#[tokio::test]
async fn missing_stream_is_named_and_counts_as_empty() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start();
    provision(&server, &Stream::ALL[1..]).await;
    let revocations = Follower::new(published(&server.url())).spawn();
    ready(&revocations).await;
    assert!(is_admitted(&revocations, "anybody"));
    let [line] = logged.lines("do not exist yet").try_into().unwrap();
    assert!(line.contains(Stream::ALL[0].name()), "{line}");
}

#[tokio::test]
async fn development_and_in_process_streams_need_no_provisioning() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start();
    let dev = Follower::new(settings(&server.url(), &ring())).spawn();
    let in_process = Follower::in_process(&InProcess::new(), ring()).unwrap().spawn();
    for revocations in [dev, in_process] {
        ready(&revocations).await;
        assert!(is_admitted(&revocations, "anybody"));
        assert_eq!(readiness(&revocations).await.0, StatusCode::OK);
    }
    for warning in ["do not exist yet", "none of Caracal's streams"] {
        assert_eq!(logged.lines(warning), Vec::<String>::new());
    }
}
