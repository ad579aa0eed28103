//! HTTP checks, asked by hand: the statuses, the description of the original request, and requests
//! that must do no harm.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::exchange::{body, exchange, header, send, status};
use crate::front_outages::SHORT_BOUND;
use crate::page;
use crate::site::Site;
use crate::world::{World, free_address};

/// Describes an original request, as nginx, Caddy and Traefik do.
fn original(method: &str, uri: &str) -> [String; 2] {
    [format!("X-Forwarded-Method: {method}"), format!("X-Forwarded-Uri: {uri}")]
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// Asks with these header lines, and returns the status and `X-Caracal-Status`.
async fn ask(check: SocketAddr, line: &str, headers: &[&str]) -> (u16, Option<u16>) {
    let (method, path) = line.split_once(' ').unwrap();
    let response = send(check, method, path, headers).await.unwrap();
    assert_eq!(header(&response, "cache-control"), Some("no-store"), "{response}");
    (status(&response), header(&response, "x-caracal-status").map(|text| text.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_the_statuses_of_each_proxy() {
    let site = Site::start(&[SHORT_BOUND]).await;
    let token = bearer(&site.world.mint("ar-1"));
    let [method, orders] = original("GET", "/orders/1");
    let [_, scoped] = original("GET", "/scoped/1");
    site.world.redis.freeze();
    let start = Instant::now();
    while ask(site.check, "GET /check", &[&token, &method, &orders]).await.0 == 200 {
        assert!(start.elapsed() < Duration::from_secs(60), "never stale");
    }
    for (path, expected) in [("/check", 503), ("/check/nginx", 403)] {
        let response = send(site.check, "GET", path, &[&token, &method, &orders]).await.unwrap();
        assert_eq!(status(&response), expected, "{response}");
        assert_eq!(header(&response, "retry-after"), Some("1"));
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        let json: Value = serde_json::from_str(body(&response)).unwrap();
        assert_eq!(json["error"], "sts_unavailable");
        let is_nginx = expected == 403;
        assert_eq!(header(&response, "x-caracal-status"), is_nginx.then_some("503"));
        assert_eq!(header(&response, "x-caracal-body"), is_nginx.then(|| body(&response)));
    }
    site.world.redis.thaw();
    let start = Instant::now();
    while ask(site.check, "GET /check/nginx", &[&token, &method, &orders]).await.0 != 200 {
        assert!(start.elapsed() < Duration::from_secs(60), "never fresh again");
    }
    for path in ["/check", "/check/nginx"] {
        let response = send(site.check, "GET", path, &[&token, &method, &scoped]).await.unwrap();
        assert_eq!(status(&response), 403, "{response}");
        assert_eq!(header(&response, "x-caracal-status"), None);
        let challenge = header(&response, "www-authenticate").unwrap();
        assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
        assert!(challenge.contains(r#"scope="orders:write""#), "{challenge}");
    }
    for front in ["check", "nginx"] {
        let name = "caracal_resource_denials_total{reason=\"insufficient_scope\"";
        let metric = site.guard.metric(&format!("{name},front=\"{front}\"}}")).await;
        assert_eq!(metric, Some(1.0), "{front}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_route_by_headers_or_suffix() {
    let site = Site::start(&[]).await;
    let token = bearer(&site.world.mint("ar-1"));
    let token = token.as_str();
    for (line, method, uri, expected) in [
        ("GET /check", "GET", "/readonly/1?a=b", (200, None)),
        ("GET /check", "POST", "/readonly/1", (403, None)),
        ("GET /check/nginx", "HEAD", "/readonly/1", (200, None)),
        ("GET /check/nginx", "POST", "/readonly/1", (403, None)),
        ("POST /check", "GET", "/readonly/1", (200, None)),
        ("GET /check", "GET", "/scoped/1", (403, None)),
        ("GET /check", "GET", "/orders/../scoped/1", (403, Some(400))),
        ("GET /check", "GET", "http://app.example/orders/1", (403, Some(400))),
        ("GET /check/", "GET", "/orders/1", (403, Some(400))),
        ("GET /check/orders/1", "GET", "/orders/1", (403, Some(400))),
    ] {
        let [method, uri] = original(method, uri);
        assert_eq!(ask(site.check, line, &[token, &method, &uri]).await, expected, "{line} {uri}");
    }
    let [method, uri] = original("GET", "/orders/1");
    let (method, uri) = (method.as_str(), uri.as_str());
    for (line, headers, expected) in [
        ("GET /check/readonly/1?a=b", &[token][..], (200, None)),
        ("POST /check/readonly/1", &[token], (403, None)),
        ("PURGE /check/orders/1", &[token], (200, None)),
        ("GET /check/open/1", &[], (200, None)),
        ("GET /check/scoped/1", &[token], (403, None)),
        ("GET /check/open/..%2forders/1", &[], (403, Some(400))),
        ("GET /check", &[token], (403, Some(400))),
        ("GET /check/nginx", &[token], (403, Some(400))),
        ("GET /check", &[token, method], (403, Some(400))),
        ("GET /check", &[token, uri], (403, Some(400))),
        ("GET /check", &[token, method, method, uri], (403, Some(400))),
        ("GET /check", &[token, method, uri, uri], (403, Some(400))),
        ("GET /check/orders/1", &[token, method], (403, Some(400))),
        ("GET /check/orders/1", &[token, uri], (403, Some(400))),
    ] {
        assert_eq!(ask(site.check, line, headers).await, expected, "{line} {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ignores_path_without_routes() {
    let world = World::start().await;
    let check = free_address();
    let _guard = world.guard(&["--check", &check.to_string()]).await;
    let token = bearer(&world.mint("ar-1"));
    for line in ["GET /check", "GET /check/nginx", "POST /check/any/../path", "HEAD /check/"] {
        assert_eq!(ask(check, line, &[&token]).await, (200, None), "{line}");
        assert_eq!(ask(check, line, &[&token, &token]).await, (401, None), "{line}");
        assert_eq!(ask(check, line, &[]).await, (401, None), "{line}");
        assert_eq!(ask(check, line, &[&token, "X-Forwarded-Uri: /a"]).await, (200, None), "{line}");
    }
    for path in ["/", "/checks", "/Check", "/check%2f", "//check", "/%63heck", "*"] {
        assert_eq!(ask(check, &format!("OPTIONS {path}"), &[&token]).await.0, 404, "{path}");
    }
    for joined in [format!("{token},x"), format!("{token}, Bearer x"), format!("{token} x")] {
        assert_eq!(ask(check, "GET /check", &[&joined]).await, (401, None), "{joined}");
    }
    let old = format!("GET /check HTTP/1.0\r\n{token}\r\n\r\n");
    let response = exchange(check, old.as_bytes()).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
}

#[test]
fn accepts_settings_of_proxies_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guard.toml");
    let check = |text: String| {
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_caracal-guard"));
        command.args(["check-config", "--config"]).arg(&path).env_clear();
        command.env("REDIS_URL", "redis://127.0.0.1:6379");
        command.env("STREAMS_HMAC_KEY", "5a".repeat(32)).output().unwrap()
    };
    let text = page::block("README", "toml", 0);
    let output = check(text.clone());
    assert!(output.status.success(), "{output:?}");
    let output = check(page::replace(&text, &[("scopes", "scope")]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
