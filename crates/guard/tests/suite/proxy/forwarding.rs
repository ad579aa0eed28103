//! What a request and a response look like on the other side.

use super::service::Service;
use super::{DEADLINE, Proxied, eventually};
use crate::exchange::{body, header, status};
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread")]
async fn forwards_request_with_identity() {
    let upstream = Upstream::start().await;
    let proxied = Proxied::start(&format!("http://{}", upstream.address), "").await;
    let more = [
        "Content-Length: 4",
        "X-Caracal-Subject: forged",
        "X_Caracal_Zone: forged",
        "X-Forwarded-For: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "X-Request-Id: request-7",
        "Connection: X-Dropped, X-Caracal-Session",
        "X-Dropped: 1",
        "X-Kept: 1",
        "X-Kept: 2",
        "Cookie: a=1",
        "Keep-Alive: timeout=5",
        "TE: gzip, trailers",
    ];
    let response = proxied.request("ar-1", "POST", "/a%2Fb/../c?d=%41&&e", &more, b"body").await;
    assert_eq!(status(&response), 200, "{response}");
    assert_eq!(body(&response), "hello");
    let [received] = &upstream.take()[..] else { panic!("not one request") };
    assert_eq!(received.method, "POST");
    assert_eq!(received.uri, "/a%2Fb/../c?d=%41&&e");
    assert_eq!(received.body, "body");
    for (name, values) in [
        ("host", &["api.example"][..]),
        ("content-length", &["4"]),
        ("x-kept", &["1", "2"]),
        ("x-dropped", &[]),
        ("cookie", &["a=1"]),
        ("keep-alive", &[]),
        ("te", &["trailers"]),
        ("connection", &["TE"]),
        ("x-caracal-subject", &["agent-1"]),
        ("x-caracal-zone", &["zone-1"]),
        ("x_caracal_zone", &[]),
        ("x-caracal-session", &["ar-1"]),
        ("x-forwarded-for", &["127.0.0.1"]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-host", &["api.example"]),
        ("forwarded", &[]),
        ("x-request-id", &["request-7"]),
    ] {
        assert_eq!(received.all(name), values, "{name}");
    }
    assert_eq!(received.all("authorization").len(), 1);
    assert_eq!(received.all("x-caracal-staleness-ms").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_token_does_not_reach_the_service() {
    let upstream = Upstream::start().await;
    let proxied = Proxied::start(&format!("http://{}", upstream.address), "").await;
    for (headers, expected) in [
        ("", 401),
        ("Authorization: Bearer not-a-token\r\n", 401),
        ("Connection: Authorization\r\n", 400),
    ] {
        let token = proxied.token("ar-1");
        let token = if expected == 400 { format!("{token}\r\n") } else { String::new() };
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{token}{headers}Connection: close\r\nX-Request-Id: r-1\r\n\r\n"
        );
        let response = crate::exchange::exchange(proxied.address, request.as_bytes()).await;
        let response = response.unwrap();
        assert_eq!(status(&response), expected, "{response}");
        assert_eq!(header(&response, "x-request-id"), Some("r-1"));
        assert!(body(&response).contains(r#""requestId":"r-1""#), "{response}");
    }
    assert_eq!(upstream.take(), []);
    let denials = r#"caracal_resource_denials_total{reason="missing_token",front="proxy"}"#;
    assert_eq!(proxied.guard.metric(denials).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn continues_forwarded_headers_of_trusted_proxy() {
    let upstream = Upstream::start().await;
    let url = format!("http://{}", upstream.address);
    let trusting = "[proxy]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let proxied = Proxied::start(&url, trusting).await;
    let more = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: front.example",
        "Forwarded: for=6.6.6.6;proto=https",
    ];
    proxied.request("ar-1", "GET", "/", &more, b"").await;
    let [received] = &upstream.take()[..] else { panic!("not one request") };
    assert_eq!(received.all("x-forwarded-for"), ["6.6.6.6, 127.0.0.1"]);
    assert_eq!(received.all("x-forwarded-proto"), ["https"]);
    assert_eq!(received.all("x-forwarded-host"), ["front.example"]);
    let forwarded = received.all("forwarded");
    assert_eq!(forwarded, ["for=6.6.6.6;proto=https, for=127.0.0.1;proto=http"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_body_and_trailers_in_both_directions() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    let more = [
        "Transfer-Encoding: chunked",
        "TE: trailers",
        "Trailer: X-Caracal-Subject, X-Own, Authorization, X-Forwarded-For",
        "Connection: close",
    ];
    let mut client = proxied.open("ar-1", "POST", "/echo", &more).await;
    client.read_until("\r\n\r\n").await;
    for part in ["one", "two"] {
        client.send(format!("3\r\n{part}\r\n").as_bytes()).await;
        // Each part comes back before the next one is sent: nothing waits for the whole body.
        client.read_until(part).await;
    }
    let trailers = "0\r\nX-Caracal-Subject: forged\r\nX-Own: 1\r\nAuthorization: x\r\n\
         X-Forwarded-For: 6.6.6.6\r\n\r\n";
    client.send(trailers.as_bytes()).await;
    let response = client.read_all().await;
    assert!(response.ends_with("0\r\nx-sum: [x-own]\r\n\r\n"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_for_expected_body_only_after_the_check() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    let more = ["Expect: 100-continue", "Content-Length: 4", "Connection: close"];
    let mut client = proxied.open("ar-1", "POST", "/upload", &more).await;
    client.read_until("100 Continue").await;
    client.send(b"body").await;
    let response = client.read_all().await;
    assert!(response.ends_with("whole"), "{response}");
    assert_eq!(service.seen.uploaded(), 4);

    let request = "POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
         Content-Length: 4\r\nConnection: close\r\n\r\n";
    let response = crate::exchange::exchange(proxied.address, request.as_bytes()).await.unwrap();
    assert_eq!(status(&response), 401, "{response}");

    let other = ["Expect: a-miracle"];
    let response = proxied.request("ar-1", "GET", "/echo", &other, b"").await;
    assert_eq!(status(&response), 417, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_head_and_options_of_the_whole_service() {
    let upstream = Upstream::start().await;
    let proxied = Proxied::start(&format!("http://{}", upstream.address), "").await;
    let response = proxied.request("ar-1", "HEAD", "/a", &[], b"").await;
    assert_eq!(status(&response), 200, "{response}");
    assert_eq!(header(&response, "content-length"), Some("5"));
    assert_eq!(body(&response), "");
    let response = proxied.request("ar-1", "OPTIONS", "*", &[], b"").await;
    assert_eq!(status(&response), 200, "{response}");
    let received = upstream.take();
    let requests: Vec<_> = received.iter().map(|r| (&*r.method, &*r.uri)).collect();
    assert_eq!(requests, [("HEAD", "/a"), ("OPTIONS", "*")]);
    for method in ["CONNECT", "TRACE"] {
        let target = if method == "CONNECT" { "api.example:443" } else { "/" };
        let response = proxied.request("ar-1", method, target, &[], b"").await;
        assert_eq!(status(&response), 501, "{response}");
    }
    assert_eq!(upstream.take(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_http10_clients_with_a_length() {
    let (upstream, service) = (Upstream::start().await, Service::start().await);
    for (url, path, expected) in [
        (format!("http://{}", upstream.address), "/", "hello"),
        // A chunked response of the service gets a length.
        (service.url(), "/echo", ""),
    ] {
        let proxied = Proxied::start(&url, "").await;
        let token = proxied.token("ar-1");
        let request = format!("GET {path} HTTP/1.0\r\n{token}\r\n\r\n");
        let response = crate::exchange::exchange(proxied.address, request.as_bytes()).await;
        let response = response.unwrap();
        assert_eq!(status(&response), 200, "{response}");
        let length = expected.len().to_string();
        assert_eq!(header(&response, "content-length"), Some(&*length), "{response}");
        assert_eq!(header(&response, "transfer-encoding"), None, "{response}");
        assert_eq!(body(&response), expected);
    }
    let [received] = &upstream.take()[..] else { panic!("not one request") };
    assert_eq!(received.all("host"), [upstream.address.to_string()]);
    assert_eq!(received.all("x-forwarded-host"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_changes_routes() {
    let upstream = Upstream::start().await;
    let proxied = Proxied::start(&format!("http://{}", upstream.address), "").await;
    let response = proxied.request("ar-1", "GET", "/orders", &[], b"").await;
    assert_eq!(status(&response), 200, "{response}");
    let routes = "[[routes]]\npath = \"/orders\"\nscopes = [\"orders:admin\"]\n";
    std::fs::write(proxied.folder.path().join("guard.toml"), routes).unwrap();
    proxied.guard.signal("HUP");
    eventually("reloaded", || proxied.guard.log().contains("configuration reloaded")).await;
    let response = proxied.request("ar-1", "GET", "/orders", &[], b"").await;
    assert_eq!(status(&response), 403, "{response}");
    let response = proxied.request("ar-1", "GET", "/other", &[], b"").await;
    assert_eq!(status(&response), 403, "{response}");
    assert_eq!(upstream.take().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn finishes_running_request_after_sigterm() {
    let service = Service::start().await;
    let mut proxied = Proxied::start(&service.url(), "").await;
    let mut client = proxied.open("ar-1", "POST", "/upload", &["Content-Length: 8"]).await;
    client.send(b"half").await;
    eventually("half of the upload", || service.seen.uploaded() == 4).await;
    proxied.guard.signal("TERM");
    eventually("stopping", || proxied.guard.log().contains("stopping")).await;
    client.send(b"half").await;
    let response = client.read_all().await;
    assert!(response.ends_with("whole"), "{response}");
    let ended = async {
        while !proxied.guard.has_ended() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.unwrap();
}
