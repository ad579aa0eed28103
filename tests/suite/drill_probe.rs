//! `caracal-streams drill --probe`: a real token at a real service, before and after its revocation.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use caracal_revocation::{Follower, GatewayLayer, Revocations};
use caracal_test_support::terminal::built;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::live::{eventually, is_admitted, is_revoked, publisher, ready, revoke, ring};
use crate::mandates::Issuer;
use crate::redis_server::RedisServer;
use crate::service::on_axum;

/// The key of `ring()`.
const KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// A gateway on a real Redis, and an issuer whose tokens it accepts.
struct Gateway {
    redis: RedisServer,
    revocations: Revocations,
    issuer: Issuer,
    url: String,
}

impl Gateway {
    async fn start() -> Self {
        let redis = RedisServer::start();
        let revocations = Follower::new(redis.settings(&ring())).with_receipts("gw-1").spawn();
        ready(&revocations).await;
        let issuer = Issuer::new().unwrap();
        let address = on_axum(GatewayLayer::new(revocations.clone()), &issuer).await;
        Self { redis, revocations, issuer, url: format!("http://{address}/") }
    }

    fn token(&self, session: &str) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.issuer.mint(session).unwrap()).unwrap();
        file
    }

    /// Runs the drill with this token. The gateway runs in this process meanwhile.
    async fn drill(&self, token: &NamedTempFile, args: &[&str]) -> Output {
        let mut command = Command::new(built("caracal-streams"));
        command.args(["drill", "--probe", &self.url, "--probe-token-file"]);
        command.arg(token.path()).args(args).stdin(Stdio::null());
        command.env("REDIS_URL", self.redis.url()).env("STREAMS_HMAC_KEY", KEY);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn messages(&self) -> u64 {
        let mut connection = self.redis.connection().await;
        let mut length = redis::cmd("XLEN");
        length.arg("caracal.sessions.revoke").query_async(&mut connection).await.unwrap()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn measures_the_time_until_a_token_is_denied() {
    let gateway = Gateway::start().await;
    let token = gateway.token("ar-1");
    let output = gateway.drill(&token, &["--within", "20s", "--yes", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let after = report["probe"]["denied_seconds"].as_f64().unwrap();
    assert!(after > 0.0 && after < 20.0, "{report}");
    assert_eq!(report["probe"]["answer"], "401, invalid_token, session revoked");
    assert_eq!((&report["anchor"], gateway.messages().await), (&"ar-1".into(), 1));
    assert!(is_revoked(&gateway.revocations, "ar-1"));
    assert!(is_admitted(&gateway.revocations, "ar-2"), "exactly its anchor");
    let secret = std::fs::read_to_string(token.path()).unwrap();
    assert!(!text(&output).contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_before_it_revokes_a_real_token() {
    let gateway = Gateway::start().await;
    let output = gateway.drill(&gateway.token("ar-1"), &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("--yes"), "{}", text(&output));
    assert_eq!(gateway.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_that_is_not_admitted_before_is_not_revoked() {
    let gateway = Gateway::start().await;
    revoke(&publisher(&gateway.redis).await, "ar-1").await;
    eventually("it is revoked", || is_revoked(&gateway.revocations, "ar-1")).await;
    let output = gateway.drill(&gateway.token("ar-1"), &["--yes"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let expected = "not admitted before: 401, invalid_token, session revoked";
    assert!(text(&output).contains(expected), "{}", text(&output));
    assert_eq!(gateway.messages().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn anchor_must_be_one_of_the_token() {
    let gateway = Gateway::start().await;
    let output = gateway.drill(&gateway.token("ar-1"), &["--yes", "--probe-anchor", "ar-2"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("--probe-anchor: not an anchor"), "{}", text(&output));
    assert_eq!(gateway.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn service_that_never_denies_fails_the_drill() {
    let gateway = Gateway::start().await;
    // A service with a state of its own, which no message reaches.
    let other = caracal_revocation::InProcess::new();
    let follower = Follower::in_process(&other, ring()).unwrap().spawn();
    ready(&follower).await;
    let address = on_axum(GatewayLayer::new(follower), &gateway.issuer).await;
    let deaf = Gateway { url: format!("http://{address}/"), ..gateway };
    let output = deaf.drill(&deaf.token("ar-1"), &["--yes", "--within", "1s"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("NOT denied as revoked; the last answer is 200"),
        "{}",
        text(&output)
    );
}

/// Starts a service that answers 200 to the first two requests, and then 401 with this body.
async fn turns_to_401(body: &'static str) -> String {
    let requests = Arc::new(AtomicUsize::new(0));
    let answer = move || {
        let nth = requests.fetch_add(1, Ordering::Relaxed);
        let denied = axum::http::StatusCode::UNAUTHORIZED;
        let answer = if nth < 2 { (axum::http::StatusCode::OK, "") } else { (denied, body) };
        std::future::ready(answer)
    };
    let router = axum::Router::new().fallback(answer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_for_another_reason_fails_the_drill() {
    let gateway = Gateway::start().await;
    let expired = r#"{"error":"invalid_token","error_description":"token expired"}"#;
    let other = Gateway { url: turns_to_401(expired).await, ..gateway };
    let output = other.drill(&other.token("ar-1"), &["--yes", "--within", "1s"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let expected = "NOT denied as revoked; the last answer is 401, invalid_token, token expired";
    assert!(text(&output).contains(expected), "{}", text(&output));
    // A service that gives no reason is believed.
    let silent = Gateway { url: turns_to_401("denied").await, ..other };
    let output = silent.drill(&silent.token("ar-2"), &["--yes", "--within", "20s"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}
