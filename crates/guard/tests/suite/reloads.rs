//! Reloads of the configuration on SIGHUP.

use std::time::{Duration, Instant};

use crate::exchange::{send, status};
use crate::program::Guard;
use crate::spoe::client::{Client, arguments};
use crate::world::{World, free_address};

/// Waits until the guard has counted this many reloads with this result.
async fn counted(guard: &Guard, result: &str, wanted: f64) {
    let name = format!(r#"caracal_guard_reloads_total{{result="{result}"}}"#);
    let start = Instant::now();
    while guard.metric(&name).await != Some(wanted) {
        assert!(start.elapsed() < Duration::from_secs(60), "{name} is never {wanted}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_applies_routes_or_changes_nothing() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guard.toml");
    let route = |more: &str| format!("[[routes]]\npath = \"/orders/*\"\n{more}\n");
    std::fs::write(&file, route("")).unwrap();
    let (check, spoe) = (free_address(), free_address());
    let (file_name, check_text) = (file.to_str().unwrap(), check.to_string());
    let spoe_text = spoe.to_string();
    let all = ["--config", file_name, "--check", &check_text, "--spoe", &spoe_text];
    let guard = world.guard(&all).await;
    counted(&guard, "ok", 0.0).await;
    counted(&guard, "failed", 0.0).await;
    let mut client = Client::hello(spoe, 16_380).await;
    let statuses = async |client: &mut Client| {
        let described = ["X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders/1"];
        let checked = send(check, "GET", "/check", &described).await.unwrap();
        (u32::from(status(&checked)), client.ask(&arguments(None)).await.number("status"))
    };
    assert_eq!(statuses(&mut client).await, (401, 401));

    std::fs::write(&file, route("anonymous = true")).unwrap();
    guard.signal("HUP");
    counted(&guard, "ok", 1.0).await;
    assert_eq!(statuses(&mut client).await, (200, 200));

    let other_listener = route("") + "[listen]\next_authz = \"127.0.0.1:1\"\n";
    for (broken, failed) in [(route("scope = 1"), 1.0), (other_listener, 2.0)] {
        std::fs::write(&file, &broken).unwrap();
        guard.signal("HUP");
        counted(&guard, "failed", failed).await;
    }
    counted(&guard, "ok", 1.0).await;
    assert_eq!(statuses(&mut client).await, (200, 200));
    assert!(guard.log().contains("configuration not reloaded"), "{}", guard.log());
}
