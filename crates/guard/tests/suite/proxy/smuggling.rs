//! Requests with more than one reading are refused, or forwarded with exactly one.

use self::Expected::{Broken, Forwarded, Refused};
use futures_util::future::join_all;

use super::Proxied;
use super::raw_service::{RawRequest, RawService};
use crate::exchange::{exchange, status};

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// An answer of this class, and nothing at the service.
    Refused,
    /// One request at the service, with this body.
    Forwarded(&'static str),
    /// A request at the service that never ends, or none: the client broke its own body.
    Broken,
}

/// The second request that an attacker hides in the body of the first. It has no token.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// Each case: the lines after the request line, without the token, and everything after the head.
const CASES: &[(&str, &str, Expected)] = &[
    // One length: the usual forms.
    ("Host: a\r\nContent-Length: 4\r\n", "body{}", Forwarded("body")),
    ("Host: a\r\nTransfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n{}", Forwarded("body")),
    // Two lengths.
    (
        "Host: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n{}",
        Forwarded(""),
    ),
    (
        "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "0\r\n\r\n{}",
        Forwarded(""),
    ),
    ("Host: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n", "body{}", Forwarded("body")),
    ("Host: a\r\nContent-Length: 4\r\nContent-Length: 40\r\n", "body{}", Refused),
    ("Host: a\r\nContent-Length: 0\r\nContent-Length: 4\r\n", "body{}", Refused),
    ("Host: a\r\nContent-Length: 4, 4\r\n", "body{}", Refused),
    ("Host: a\r\nContent-Length: +4\r\n", "body{}", Refused),
    ("Host: a\r\nContent-Length: -4\r\n", "body{}", Refused),
    ("Host: a\r\nContent-Length: 0x4\r\n", "body{}", Refused),
    ("Host: a\r\nContent-Length: 4 0\r\n", "body{}", Refused),
    ("Host: a\r\nContent-Length:\r\n", "body{}", Refused),
    ("Host: a\r\nContent-Length: 18446744073709551616\r\n", "body{}", Refused),
    ("Host: a\r\nContent_Length: 40\r\nContent-Length: 4\r\n", "body{}", Forwarded("body")),
    // Hidden and doubtful codings.
    ("Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: xchunked\r\n", "body{}", Refused),
    ("Host: a\r\nTransfer-Encoding: chunked, identity\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding: identity, chunked\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding:\r\n", "0\r\n\r\n{}", Refused),
    (
        "Host: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n{}",
        Refused,
    ),
    (
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "0\r\n\r\n{}",
        Refused,
    ),
    ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding:\tchunked \r\n", "0\r\n\r\n{}", Forwarded("")),
    ("Host: a\r\nTransfer-Encoding: CHUNKED\r\n", "0\r\n\r\n{}", Forwarded("")),
    ("Host: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 4\r\n", "body{}", Forwarded("body")),
    // Lines that are no lines.
    ("Host: a\r\nTransfer-Encoding : chunked\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nContent-Length : 4\r\n", "body{}", Refused),
    ("Host: a\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nX: 1\r\n Transfer-Encoding: chunked\r\n", "{}", Refused),
    ("Host: a\r\nTransfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\nTransfer-Encoding\r\n", "0\r\n\r\n{}", Refused),
    ("Host: a\r\n: 1\r\n", "{}", Refused),
    ("Host: a\r\nX: a\0b\r\n", "{}", Refused),
    ("Host: a\r\nX\0: b\r\n", "{}", Refused),
    ("Host: a\r\nX: a\rTransfer-Encoding: chunked\r\n", "{}", Refused),
    ("Host: a\r\nX: a\r\rTransfer-Encoding: chunked\r\n", "{}", Refused),
    // A bare line feed ends a line for hyper. The service gets CRLF.
    ("Host: a\nX: a\nContent-Length: 4\r\n", "body{}", Forwarded("body")),
    ("Host: a\r\nX: a\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n{}", Forwarded("")),
    // Chunks.
    (
        "Host: a\r\nTransfer-Encoding: chunked\r\n",
        "4;a=b\r\nbody\r\n0;x\r\n\r\n{}",
        Forwarded("body"),
    ),
    ("Host: a\r\nTransfer-Encoding: chunked\r\n", "4;a=\"\r\n\"\r\nbody\r\n0\r\n\r\n{}", Broken),
    ("Host: a\r\nTransfer-Encoding: chunked\r\n", "4;a\nbody\r\n0\r\n\r\n{}", Broken),
    ("Host: a\r\nTransfer-Encoding: chunked\r\n", "4\nbody\n0\n\n{}", Broken),
    ("Host: a\r\nTransfer-Encoding: chunked\r\n", "0x4\r\nbody\r\n0\r\n\r\n{}", Broken),
    ("Host: a\r\nTransfer-Encoding: chunked\r\n", "-4\r\nbody\r\n0\r\n\r\n{}", Broken),
    ("Host: a\r\nTransfer-Encoding: chunked\r\n", "4 4\r\nbody\r\n0\r\n\r\n{}", Broken),
    ("Host: a\r\nTransfer-Encoding: chunked\r\n", "4\r\nbodyXX0\r\n\r\n{}", Broken),
    (
        "Host: a\r\nTransfer-Encoding: chunked\r\n",
        "f0000000000000004\r\nbody\r\n0\r\n\r\n{}",
        Broken,
    ),
    // Hosts.
    ("", "{}", Refused),
    ("Host: a\r\nHost: b\r\n", "{}", Refused),
    ("Host: a\r\nHost: a\r\n", "{}", Refused),
    ("Host: a b\r\n", "{}", Refused),
    ("Host: a/../b\r\n", "{}", Refused),
    // Headers of the connection.
    ("Host: a\r\nConnection: Content-Length\r\nContent-Length: 4\r\n", "body{}", Refused),
    (
        "Host: a\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
        "4\r\nbody\r\n0\r\n\r\n{}",
        Forwarded("body"),
    ),
    ("Host: a\r\nConnection: Host\r\n", "{}", Refused),
    (
        "Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "{}",
        Forwarded(""),
    ),
];

async fn proxied(service: &RawService) -> Proxied {
    // Connections that stay open after the answer are closed soon.
    let limits = "[limits]\nheader_timeout_ms = 2000\n";
    Proxied::start(&format!("http://{}", service.address), limits).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_one_reading_or_is_refused() {
    let service = RawService::start(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let proxied = proxied(&service).await;
    let sent = join_all(CASES.iter().enumerate().map(|(index, (head, rest, _))| {
        let token = proxied.token("ar-1");
        let after = rest.replace("{}", HIDDEN);
        let request = format!("POST /case-{index} HTTP/1.1\r\n{token}\r\n{head}\r\n{after}");
        let address = proxied.address;
        async move { exchange(address, request.as_bytes()).await.expect("an end") }
    }))
    .await;
    let received = service.take();
    for (index, (head, _, expected)) in CASES.iter().enumerate() {
        let response = &sent[index];
        let line = format!("POST /case-{index} HTTP/1.1");
        let forwarded: Vec<&RawRequest> =
            received.iter().flatten().filter(|request| request.line == line).collect();
        let name = format!("{head:?} ({expected:?}): {response}");
        match expected {
            Refused => {
                assert!((400..500).contains(&status(response)), "{name}");
                assert!(forwarded.is_empty(), "{name}");
            }
            Forwarded(body) => {
                assert_eq!(status(response), 200, "{name}");
                let [request] = &forwarded[..] else {
                    panic!("{} requests: {name}", forwarded.len())
                };
                assert_eq!(String::from_utf8_lossy(&request.body), *body, "{name}");
                assert_eq!(request.all("upgrade"), [""; 0], "{name}");
                let aliases = ["content_length", "transfer_encoding"];
                assert!(aliases.iter().all(|alias| request.all(alias).is_empty()), "{name}");
            }
            Broken => {
                assert_ne!(status(response), 200, "{name}");
                assert!(forwarded.is_empty(), "{name}");
            }
        }
    }
    let hidden = received.iter().flatten().filter(|request| request.line.contains("hidden"));
    assert_eq!(hidden.count(), 0);
    // A broken body ends at the service without its last chunk: it is never a request.
    let unread: Vec<_> = received.iter().filter_map(|request| request.as_ref().err()).collect();
    let is_cut = |problem: &&&String| {
        !["no chunk", "short chunk", "short body"].iter().any(|end| problem.contains(end))
    };
    assert_eq!(unread.iter().filter(is_cut).count(), 0, "{unread:?}");
    for kind in ["malformed", "broken_upload", "method", "expectation", "stalled_upload"] {
        let refused = format!("caracal_guard_refused_requests_total{{kind=\"{kind}\"}}");
        let count = proxied.guard.metric(&refused).await.expect("a counter");
        assert_eq!(count > 0.0, ["malformed", "broken_upload"].contains(&kind), "{kind}: {count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_target_has_one_reading_or_is_refused() {
    let service = RawService::start(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let proxied = proxied(&service).await;
    for (line, host, expected) in [
        ("GET /a?b HTTP/1.1", "a", Some("GET /a?b HTTP/1.1")),
        ("GET http://a/b HTTP/1.1", "a", Some("GET /b HTTP/1.1")),
        ("GET http://A HTTP/1.1", "a", Some("GET / HTTP/1.1")),
        ("GET http://a?b HTTP/1.1", "a", Some("GET /?b HTTP/1.1")),
        ("GET /a#b HTTP/1.1", "a", Some("GET /a HTTP/1.1")),
        ("GET //b/c HTTP/1.1", "a", Some("GET //b/c HTTP/1.1")),
        ("GET /%2e%2e/b HTTP/1.1", "a", Some("GET /%2e%2e/b HTTP/1.1")),
        ("GET http://b/a HTTP/1.1", "a", None),
        ("GET http://a:81/a HTTP/1.1", "a", None),
        ("GET http://a@b/ HTTP/1.1", "b", None),
        ("GET ftp://a/b HTTP/1.1", "a", None),
        ("GET a HTTP/1.1", "a", None),
        ("GET * HTTP/1.1", "a", None),
        ("GET  /a HTTP/1.1", "a", None),
        ("GET /a  HTTP/1.1", "a", None),
        ("GET /a b HTTP/1.1", "a", None),
        ("GET\t/a HTTP/1.1", "a", None),
        ("GET /a\0 HTTP/1.1", "a", None),
        ("GET /a HTTP/1.2", "a", None),
        ("GET /a HTTP/2.0", "a", None),
        ("GET /a", "a", None),
        ("G@T /a HTTP/1.1", "a", None),
        ("CONNECT a:80 HTTP/1.1", "a:80", None),
    ] {
        let token = proxied.token("ar-1");
        let request = format!("{line}\r\nHost: {host}\r\nConnection: close\r\n{token}\r\n\r\n");
        let response = exchange(proxied.address, request.as_bytes()).await.unwrap();
        let received = service.take();
        let lines: Vec<_> = received.iter().flatten().map(|raw| raw.line.as_str()).collect();
        assert_eq!(lines, Vec::from_iter(expected), "{line:?}: {response}");
        assert_eq!(received.len(), lines.len(), "{line:?}: {received:?}");
        if expected.is_none() {
            assert!((400..=501).contains(&status(&response)), "{line:?}: {response}");
        }
    }
}
