//! A service that cannot be reached, breaks off, or is too slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::raw_service::RawService;
use super::service::Service;
use super::{Proxied, eventually};
use crate::exchange::{body, header, status};
use crate::world::free_address;

#[tokio::test(flavor = "multi_thread")]
async fn answers_502_if_the_service_cannot_be_reached() {
    let proxied = Proxied::start(&format!("http://{}", free_address()), "").await;
    let id = ["X-Request-Id: request-7"];
    let response = proxied.request("ar-1", "GET", "/", &id, b"").await;
    assert_eq!(status(&response), 502, "{response}");
    assert_eq!(header(&response, "retry-after"), Some("1"));
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_eq!(header(&response, "x-request-id"), Some("request-7"));
    let expected = r#"{"error":"bad_gateway","error_description":"the service cannot be reached","requestId":"request-7"}"#;
    assert_eq!(body(&response), expected);
    let failures = r#"caracal_guard_upstream_failures_total{kind="unreachable"}"#;
    assert_eq!(proxied.guard.metric(failures).await, Some(1.0));
    assert!(
        proxied.guard.log().contains("a request to the service failed"),
        "{}",
        proxied.guard.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_502_to_an_invalid_response() {
    for answer in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let proxied = Proxied::start(&format!("http://{address}"), "").await;
        let response = proxied.request("ar-1", "GET", "/", &[], b"").await;
        assert_eq!(status(&response), 502, "{answer:?}: {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_the_service_breaks_off_does_not_look_whole() {
    let answers: [&[u8]; 2] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nten bytes\n\r\n!\r\n",
    ];
    for answer in answers {
        let service = BreakingService::start(answer).await;
        let proxied = Proxied::start(&service, "").await;
        let response = proxied.request("ar-1", "GET", "/", &[], b"").await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(response.contains("ten bytes") && !response.ends_with("0\r\n\r\n"), "{response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_safe_request_on_a_connection_that_just_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // A service that answers one request on each connection, and closes at the next one.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                counter.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                if stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let proxied = Proxied::start(&format!("http://{address}"), "").await;
    for (method, expected, sent) in [
        ("GET", 200, 1),
        // Refused on the first connection, answered on a second one.
        ("GET", 200, 3),
        ("POST", 502, 4),
    ] {
        let response = proxied.request("ar-1", method, "/", &[], b"").await;
        assert_eq!(status(&response), expected, "{response}");
        eventually("the service counts", || requests.load(Ordering::Relaxed) == sent).await;
    }
}

/// A service that answers and closes the connection.
struct BreakingService;

impl BreakingService {
    async fn start(answer: &'static [u8]) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        format!("http://{address}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_504_if_the_service_is_too_slow() {
    let service = Service::start().await;
    let limits = "[limits]\nresponse_ms = 300\n";
    let proxied = Proxied::start(&service.url(), limits).await;
    let response = proxied.request("ar-1", "GET", "/never", &[], b"").await;
    assert_eq!(status(&response), 504, "{response}");
    assert!(body(&response).contains(r#""error":"gateway_timeout""#), "{response}");
    assert_eq!(header(&response, "retry-after"), None);
    eventually("the service's handler is dropped", || service.seen.dropped() == 1).await;
    // A response that has begun has no limit.
    let mut client = proxied.open("ar-1", "GET", "/sse", &[]).await;
    client.read_until("data: 1\n\n").await;
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    proxied.world.revoke("ar-1").await;
    assert!(client.read_all().await.contains("event: revoked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_504_if_the_service_does_not_take_a_connection() {
    // A service that accepts connections and never speaks: the TLS handshake does not end.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let folder = tempfile::TempDir::new().unwrap();
    caracal_test_support::certificates::certificates(folder.path(), &[]);
    let authority = folder.path().join("ca.pem");
    for http2 in [false, true] {
        let config = format!(
            "[limits]\nconnect_ms = 300\n[proxy]\nupstream_http2 = {http2}\n\
             upstream_ca_file = {authority:?}\n"
        );
        let proxied = Proxied::start(&url, &config).await;
        let requests = (0..3).map(|_| proxied.request("ar-1", "GET", "/", &[], b""));
        for response in futures_util::future::join_all(requests).await {
            assert_eq!(status(&response), 504, "{response}");
            assert_eq!(header(&response, "retry-after"), Some("1"), "{response}");
        }
        let failures = r#"caracal_guard_upstream_failures_total{kind="connect_timeout"}"#;
        assert_eq!(proxied.guard.metric(failures).await, Some(3.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_408_if_the_client_pauses_its_upload() {
    let service = Service::start().await;
    let limits = "[limits]\nupload_ms = 300\n";
    let proxied = Proxied::start(&service.url(), limits).await;
    let more = ["Content-Length: 100", "Connection: close"];
    let mut client = proxied.open("ar-1", "POST", "/upload", &more).await;
    client.send(b"half").await;
    let response = client.read_all().await;
    assert_eq!(status(&response), 408, "{response}");
    eventually("the service's end", || service.seen.upload_end().is_some()).await;
    assert!(service.seen.upload_end().unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_request_beyond_the_limits_of_headers() {
    let service = RawService::start(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let limits = "[limits]\nheaders = 10\nheader_bytes = 8192\n";
    let proxied = Proxied::start(&format!("http://{}", service.address), limits).await;
    let many = vec!["X: 1"; 10];
    let response = proxied.request("ar-1", "GET", "/", &many, b"").await;
    assert_eq!(status(&response), 431, "{response}");
    let long = format!("X: {}", "x".repeat(9_000));
    let response = proxied.request("ar-1", "GET", "/", &[&long], b"").await;
    assert_eq!(status(&response), 431, "{response}");
    assert_eq!(service.take(), []);
    let response = proxied.request("ar-1", "GET", "/", &["X: 1"], b"").await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_connection_without_requests() {
    let service = Service::start().await;
    let limits = "[limits]\nheader_timeout_ms = 300\nidle_ms = 300\nconnections = 2\n";
    let proxied = Proxied::start(&service.url(), limits).await;
    // The first bytes of HTTP/2 decide its version: a client may stop there.
    for bytes in [&b""[..], b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HT"]
    {
        let stream = tokio::net::TcpStream::connect(proxied.address).await.unwrap();
        let mut client = super::Client { stream, read: Vec::new() };
        client.send(bytes).await;
        client.read_all().await;
    }
    let response = proxied.request("ar-1", "POST", "/upload", &["Content-Length: 0"], b"").await;
    assert_eq!(status(&response), 200, "{response}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn closes_connection_of_a_client_that_does_not_read() {
    let service = Service::start().await;
    let limits = "[limits]\nunread_ms = 1000\n";
    let proxied = Proxied::start(&service.url(), limits).await;
    // The service sends until every buffer on the way is full.
    let client = proxied.open("ar-1", "GET", "/flood", &[]).await;
    eventually("the service's response is dropped", || service.seen.dropped() == 1).await;
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_the_limit_waits_for_its_turn() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "[limits]\nconnections = 1\n").await;
    let mut first = proxied.open("ar-1", "GET", "/sse", &[]).await;
    first.read_until("data: 1").await;
    let more = ["Content-Length: 0", "Connection: close"];
    let mut second = proxied.open("ar-2", "POST", "/upload", &more).await;
    // Not answered while the first connection is open; answered once it is closed.
    let early =
        tokio::time::timeout(std::time::Duration::from_millis(300), second.read_all()).await;
    assert!(early.is_err(), "{early:?}");
    drop(first);
    assert!(second.read_all().await.ends_with("whole"));
}
