//! The program itself: configuration, readiness, signals, and one decision from end to end.

use crate::exchange::{body, get, header, send, status};
use crate::world::{World, free_address};

#[tokio::test(flavor = "multi_thread")]
async fn denies_revoked_mandate_from_end_to_end() {
    let world = World::start().await;
    let check = free_address();
    let guard = world.guard(&["--check", &check.to_string()]).await;
    let token = format!("Authorization: Bearer {}", world.mint("ar-1"));

    let response = send(check, "GET", "/check", &[&token]).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
    assert_eq!(header(&response, "x-caracal-subject"), Some("agent-1"));
    assert_eq!(header(&response, "x-caracal-session"), Some("ar-1"));

    world.revoke("ar-1").await;
    let start = std::time::Instant::now();
    let response = loop {
        let response = send(check, "GET", "/check", &[&token]).await.unwrap();
        if status(&response) != 200 {
            break response;
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "never denied");
    };
    assert_eq!(status(&response), 401);
    assert!(body(&response).contains("session_revoked"), "{response}");
    assert!(header(&response, "www-authenticate").unwrap().starts_with("Bearer error="));
    let denials =
        guard.metric(r#"caracal_resource_denials_total{reason="revoked",front="check"}"#).await;
    assert_eq!(denials, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_on_sigterm() {
    let world = World::start().await;
    let check = free_address();
    let mut guard = world.guard(&["--check", &check.to_string()]).await;
    guard.signal("TERM");
    let start = std::time::Instant::now();
    while !guard.has_ended() {
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "still running");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(get(check, "/check").await.is_none());
}
