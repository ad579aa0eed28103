//! HTTP checks whose message is unusual: bodies, expectations, upgrades, HTTP/2.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exchange::{exchange, header, status};
use crate::programs;
use crate::world::{World, free_address};

const NEXT: &str = "GET /check HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Returns the responses to these bytes on one connection, in order.
async fn responses(check: SocketAddr, request: &str) -> Vec<String> {
    let all = exchange(check, request.as_bytes()).await.unwrap();
    let parts = all.split("HTTP/1.1 ").filter(|part| !part.is_empty());
    parts.map(|part| format!("HTTP/1.1 {part}")).collect()
}

fn statuses(responses: &[String]) -> Vec<u16> {
    responses.iter().map(|response| status(response)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ignored_body_leaves_connection_usable_or_closes_it() {
    let world = World::start().await;
    let check = free_address();
    let _guard = world.guard(&["--check", &check.to_string()]).await;
    let head = format!(
        "POST /check HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n",
        world.mint("ar-1")
    );
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let sized = |length: usize| format!("Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
    for body in [chunked.to_owned(), sized(5), sized(64 * 1024)] {
        let all = responses(check, &format!("{head}{body}{NEXT}")).await;
        assert_eq!(statuses(&all), [200, 401], "{}", body.len());
        assert_eq!(header(&all[0], "connection"), None);
    }
    // The rest of a body must not be read as the next request.
    let smuggled = format!("{}{NEXT}", "x".repeat(80 * 1024));
    let long = format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    let missing = "Content-Length: 9\r\n\r\n".to_owned();
    let expected = "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n".to_owned();
    let broken = "Transfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned();
    for body in [long, missing, expected, broken] {
        let all = responses(check, &format!("{head}{body}")).await;
        let all: Vec<_> = all.into_iter().filter(|one| status(one) != 100).collect();
        assert_eq!(statuses(&all), [200], "{}", body.len());
        assert_eq!(header(&all[0], "connection"), Some("close"), "{}", body.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_headers_change_nothing() {
    let world = World::start().await;
    let check = free_address();
    let _guard = world.guard(&["--check", &check.to_string()]).await;
    let token = format!("Authorization: Bearer {}\r\n", world.mint("ar-1"));
    for lines in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: Authorization\r\n",
        "Expect: 100-continue\r\n",
        "TE: trailers\r\nContent-Type: application/grpc\r\n",
    ] {
        for (token, expected) in [(token.as_str(), 200), ("", 401)] {
            for method in ["GET", "POST"] {
                let head = format!("{method} /check HTTP/1.1\r\nHost: a\r\n{token}{lines}\r\n");
                let all = responses(check, &format!("{head}{NEXT}")).await;
                assert_eq!(statuses(&all), [expected, 401], "{lines}");
                assert!(header(&all[0], "upgrade").is_none(), "{lines}");
            }
        }
    }
    let head = format!("CONNECT /check HTTP/1.1\r\nHost: a\r\n{token}\r\n");
    let all = responses(check, &format!("{head}{NEXT}")).await;
    assert_eq!(statuses(&all)[0], 403, "a tunnel");
    assert_eq!(header(&all[0], "x-caracal-status"), Some("400"));
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_over_http2_is_denied_by_status() {
    let Some(curl) = programs::debian("curl", "curl") else { return };
    let world = World::start().await;
    let check = free_address();
    let _guard = world.guard(&["--check", &check.to_string()]).await;
    for (path, token, expected) in [
        ("/check", "x".to_owned(), "2 401 application/json"),
        ("/check/nginx", "x".to_owned(), "2 401 application/json"),
        ("/check/orders.v1.Orders/List", "x".to_owned(), "2 401 application/json"),
        ("/check/orders.v1.Orders/List", world.mint("ar-1"), "2 200 "),
    ] {
        let mut command = Command::new(&curl);
        command.args(["-sS", "-m", "60", "--http2-prior-knowledge", "-o", "/dev/null"]);
        command.args(["-w", "%{http_version} %{http_code} %{content_type}"]);
        command.args(["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "-d", "hello"]);
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
        let output = command.arg(format!("http://{check}{path}")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_changes_routes_of_every_check() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guard.toml");
    let check = free_address();
    let route = |rule: &str| format!("[[routes]]\npath = \"/a\"\n{rule}\n");
    std::fs::write(&path, route("scopes = [\"a:read\"]")).unwrap();
    let path = path.to_str().unwrap();
    let guard = world.guard(&["--check", &check.to_string(), "--config", path]).await;
    let request = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-Method: GET\r\n\
             X-Forwarded-Uri: /a\r\nAuthorization: Bearer {}\r\n\r\n",
            world.mint("ar-1")
        )
    };
    // A connection that is open across the reload follows it, too.
    let mut open = TcpStream::connect(check).await.unwrap();
    for path in ["/check", "/check/nginx"] {
        assert_eq!(statuses(&responses(check, &request(path)).await), [403]);
    }
    std::fs::write(path, route("")).unwrap();
    guard.signal("HUP");
    let start = Instant::now();
    for path in ["/check", "/check/nginx"] {
        while statuses(&responses(check, &request(path)).await) != [200] {
            assert!(start.elapsed() < Duration::from_secs(60), "not reloaded");
        }
    }
    open.write_all(request("/check").as_bytes()).await.unwrap();
    let mut response = String::new();
    open.read_to_string(&mut response).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
}
