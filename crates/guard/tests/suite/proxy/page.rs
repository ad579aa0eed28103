//! The configuration of `docs/proxies/own.md`, as it is.

use serde_json::json;
use tempfile::TempDir;

use super::service::Service;
use super::{DEADLINE, eventually};
use crate::exchange::{exchange, header, send, status};
use crate::page::{block, replace};
use crate::program::Guard;
use crate::world::{World, free_address};

#[tokio::test(flavor = "multi_thread")]
async fn configuration_of_the_page_guards_an_application() {
    let (service, world) = (Service::start().await, World::start().await);
    let address = free_address();
    let mut environment = world.environment();
    let issuer = environment.iter().find(|(name, _)| *name == "CARACAL_ISSUER").unwrap().1.clone();
    let texts = [
        ("127.0.0.1:8080", address.to_string()),
        ("127.0.0.1:8000", service.address.to_string()),
        ("operations = \"127.0.0.1:9091\"\n", String::new()),
        ("https://sts.example", issuer),
    ];
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("guard.toml");
    std::fs::write(&file, replace(&block("own", "toml", 0), &texts)).unwrap();
    environment
        .retain(|(name, _)| matches!(*name, "CARACAL_MODE" | "REDIS_URL" | "STREAMS_HMAC_KEY"));
    let mut guard = Guard::start(&environment, &["--config", file.to_str().unwrap()]).await;

    let token = format!("Authorization: Bearer {}", world.mint("ar-1"));
    let admin =
        format!("Authorization: Bearer {}", world.mint_with("ar-1", &json!({"scope": "admin"})));
    for (path, headers, expected) in [
        ("/echo", &[token.as_str()][..], 200),
        ("/echo", &[], 401),
        ("/admin/users", &[&token], 403),
        // The service has no such page.
        ("/admin/users", &[&admin], 404),
        ("/admin/%2e%2e/echo", &[&token], 400),
        ("//echo", &[&token], 400),
    ] {
        let response = send(address, "GET", path, headers).await.unwrap();
        assert_eq!(status(&response), expected, "{path} {headers:?}: {response}");
        let challenge = header(&response, "www-authenticate").is_some();
        assert_eq!(challenge, matches!(expected, 401 | 403), "{response}");
    }

    // A guard that hangs lets nothing pass, and a killed one neither.
    guard.freeze().await;
    let before = service.seen.versions().len();
    let request = format!("GET /echo HTTP/1.1\r\nHost: a\r\n{token}\r\nConnection: close\r\n\r\n");
    let waiting = exchange(address, request.as_bytes());
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(500), waiting).await;
    assert!(waiting.is_err(), "{waiting:?}");
    guard.kill();
    eventually("the guard ends", || guard.has_ended()).await;
    let refused = tokio::time::timeout(DEADLINE, exchange(address, request.as_bytes())).await;
    assert_eq!(refused.unwrap(), None);
    assert_eq!(service.seen.versions().len(), before);
    guard.restart().await;
    let response = send(address, "GET", "/echo", &[&token]).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
}
