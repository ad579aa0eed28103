//! Settings of the library that the guard passes on: the snapshot and the strict mode.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::exchange::{body, send, status};
use crate::program::Guard;
use crate::world::{World, free_address};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Asks until the answer has this status, and returns it. A guard that starts does not listen yet.
async fn answers(check: SocketAddr, token: &str, wanted: u16) -> String {
    let start = Instant::now();
    let mut last = None;
    while start.elapsed() < TIMEOUT {
        last = send(check, "GET", "/check/orders", &[token]).await;
        if let Some(response) = last.take_if(|response| status(response) == wanted) {
            return response;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {wanted}: {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_denies_revoked_mandate_while_redis_is_down() {
    let mut world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state").display().to_string();
    let mut environment = world.environment();
    environment.push(("CARACAL_REVOCATION_SNAPSHOT", path));
    let check = free_address();
    let arguments = ["--check", &check.to_string()];
    let mut guard = Guard::start(&environment, &arguments).await;
    let token = format!("Authorization: Bearer {}", world.mint("ar-1"));
    answers(check, &token, 200).await;
    world.revoke("ar-1").await;
    answers(check, &token, 401).await;
    guard.signal("TERM");
    let start = Instant::now();
    while !guard.has_ended() {
        assert!(start.elapsed() < TIMEOUT, "still running");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    world.redis.kill();
    let _guard = Guard::launch(&environment, &arguments);
    let response = answers(check, &token, 401).await;
    assert!(body(&response).contains("session_revoked"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_mode_trusts_no_unproven_history_and_denies_soon() {
    let world = World::start().await;
    let check = free_address();
    let (environment, _folder) = world.configured("[settings]\nREVOCATION_STRICT = \"true\"\n");
    let _guard = Guard::start(&environment, &["--check", &check.to_string()]).await;
    let token = format!("Authorization: Bearer {}", world.mint("ar-1"));
    // An empty Redis may have lost revocations: mandates issued until now must be refreshed.
    let response = answers(check, &token, 401).await;
    assert!(body(&response).contains("refresh the mandate"), "{response}");
    world.redis.freeze();
    // Without strict mode, the bound is 60 seconds.
    let response = answers(check, &token, 503).await;
    assert!(body(&response).contains("revocation state unavailable"), "{response}");
    world.redis.thaw();
    answers(check, &token, 401).await;
}
