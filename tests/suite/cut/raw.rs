//! Endings as bytes on a socket: a cut response never ends like a complete one.

use ::http::{HeaderMap, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http::send_request;
use super::*;

const EVENT: &str = "event: revoked\ndata: {\"reason\":\"revoked\",\"anchor\":\"sid\"}\n\n";

fn events(length: Option<&'static str>) -> Response {
    let mut response = unending_body("data: first\n\n").into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, "text/event-stream".parse().unwrap());
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.parse().unwrap());
    }
    response
}

fn of_version(version: Version) -> Response {
    let mut response = unending_body("first\n").into_response();
    *response.version_mut() = version;
    response
}

/// Returns a body of two chunks that ends, without an announced length.
fn finite() -> Body {
    Body::from_stream(stream::iter(["first\n", "last\n"].map(Ok::<_, Infallible>)))
}

fn endless_body() -> Body {
    let chunk = Bytes::from(vec![b'x'; 1 << 16]);
    Body::from_stream(stream::repeat(chunk).map(Ok::<_, Infallible>))
}

fn routes() -> Router {
    let sized = async || ([(header::CONTENT_LENGTH, "100")], unending_body("first\n"));
    Router::new()
        .route("/stream", any(async || unending_body("first\n")))
        .route("/sized", get(sized))
        .route("/finite", get(async || finite()))
        .route("/pour", get(async || endless_body()))
        .route("/events", get(async || events(None)))
        // One is exactly as long as the event that a cut writes, one is longer.
        .route("/events/filled", get(async || events(Some("30"))))
        .route("/events/sized", get(async || events(Some("1000"))))
        .route("/old", get(async || of_version(Version::HTTP_10)))
        .route("/204", get(async || (::http::StatusCode::NO_CONTENT, unending_body("first\n"))))
        .route("/304", get(async || (::http::StatusCode::NOT_MODIFIED, unending_body("first\n"))))
}

struct Exchange {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Exchange {
    /// Sends this request line and these header lines, with the token of `ar-1`.
    async fn start(address: SocketAddr, line: &str, headers: &[&[u8]]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request =
            format!("{line}\r\nHost: localhost\r\nAuthorization: Bearer ar-1\r\n").into_bytes();
        for header in headers {
            request.extend_from_slice(header);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await.unwrap();
        Self { stream, read: Vec::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Reads until the response contains this text.
    async fn read_until(&mut self, text: &str) {
        while !self.text().contains(text) {
            let read = soon(self.stream.read_buf(&mut self.read)).await.unwrap();
            assert!(read > 0, "the response ended with {:?}", self.text());
        }
    }

    /// Reads to the end of the connection, clean or not.
    async fn end(mut self) -> String {
        let _ = soon(self.stream.read_to_end(&mut self.read)).await;
        self.text()
    }
}

/// Returns the bytes of a response that began with `first` and was then cut.
async fn cut(line: &str, headers: &[&[u8]]) -> String {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    // Makes the end visible, however the response ends.
    let headers = [headers, &[b"Connection: close"]].concat();
    let mut exchange = Exchange::start(address, line, &headers).await;
    exchange.read_until("first\n").await;
    scene.running(1).await;
    scene.revoke("ar-1");
    exchange.end().await
}

/// Returns the bytes of a response that ends without a cut.
async fn complete_response(line: &str, headers: &[&[u8]]) -> String {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    Exchange::start(address, line, headers).await.end().await
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a head").1
}

#[tokio::test]
async fn announces_the_trailer_only_where_hyper_sends_it() {
    let takes: [&[&[u8]]; 5] = [
        &[b"TE: trailers"],
        &[b"TE: gzip, Trailers"],
        &[b"TE: gzip;q=0.5,\t trailers "],
        &[b"TE: gzip", b"TE: trailers"],
        &[b"TE: \xff", b"TE: trailers"],
    ];
    for te in takes {
        let response = cut("GET /stream HTTP/1.1", te).await;
        assert!(response.contains("trailer: x-caracal-revoked\r\n"), "{te:?}: {response}");
        let end = "first\n\r\n0\r\nx-caracal-revoked: true\r\n\r\n";
        assert!(response.ends_with(end), "{te:?}: {response}");
    }
    let does_not: [&[&[u8]]; 9] = [
        &[],
        // Envoy forwards it like this, but drops trailers.
        &[b"TE: trailers", b"X-Forwarded-Proto: http"],
        &[b"TE: trailers", b"Via: 1.1 proxy"],
        &[b"TE: trailers;q=0.5"],
        &[b"TE: trailers ; q=1"],
        &[b"TE: \"trailers\""],
        &[b"TE: trailers, \xff"],
        &[b"TE: trailers gzip"],
        &[b"TE: xtrailers"],
    ];
    for te in does_not {
        let response = cut("GET /stream HTTP/1.1", te).await;
        assert!(!response.contains("trailer:"), "{te:?}: {response}");
        // The terminating chunk is missing.
        assert_eq!(body(&response), "6\r\nfirst\n\r\n", "{te:?}");
    }
}

#[tokio::test]
async fn never_fills_an_announced_length_with_an_event() {
    for path in ["/events/filled", "/events/sized"] {
        let response = cut(&format!("GET {path} HTTP/1.1"), &[]).await;
        assert_eq!(body(&response), "data: first\n\n", "{path}");
        let response = cut(&format!("GET {path} HTTP/1.0"), &[]).await;
        assert_eq!(body(&response), "data: first\n\n", "{path}");
    }
    let response = cut("GET /events HTTP/1.1", &[]).await;
    let chunk = format!("{:X}\r\n{EVENT}\r\n", EVENT.len());
    assert!(
        response.ends_with(&chunk),
        "the event is written and the response broken off: {response}"
    );
}

#[tokio::test]
async fn breaks_off_a_response_of_an_older_version() {
    let response = cut("GET /old HTTP/1.1", &[]).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert_eq!(body(&response), "6\r\nfirst\n\r\n");
    let response = cut("GET /old HTTP/1.1", &[b"TE: trailers"]).await;
    assert!(response.ends_with("0\r\nx-caracal-revoked: true\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn sends_http10_a_length_or_an_error() {
    // Shorter than its length: a client that counts detects the cut.
    let response = cut("GET /sized HTTP/1.0", &[]).await;
    assert!(response.contains("content-length: 100\r\n"), "{response}");
    assert_eq!(body(&response), "first\n");
    // A response that ends soon gets its length.
    let response = complete_response("GET /finite HTTP/1.0", &[b"TE: trailers"]).await;
    assert!(response.starts_with("HTTP/1.0 200 OK\r\n"), "{response}");
    assert!(response.contains("content-length: 11\r\n"), "{response}");
    assert_eq!(body(&response), "first\nlast\n");
    // An endless response cannot be sent over HTTP/1.0.
    for path in ["/events", "/pour"] {
        let response = complete_response(&format!("GET {path} HTTP/1.0"), &[]).await;
        assert!(response.starts_with("HTTP/1.0 505 "), "{path}: {response}");
        assert!(response.contains("proxy_http_version 1.1"), "{path}: {response}");
        let error: serde_json::Value = serde_json::from_str(body(&response)).unwrap();
        assert_eq!(error["error"], "http_version_not_supported", "{path}");
    }
}

#[tokio::test]
async fn replaces_buffered_response_with_the_denial() {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    let exchange = Exchange::start(address, "GET /stream HTTP/1.0", &[]).await;
    scene.running(1).await;
    scene.revoke("ar-1");
    let response = exchange.end().await;
    assert!(response.starts_with("HTTP/1.0 401 "), "{response}");
    assert!(body(&response).contains("session revoked"), "{response}");
    assert_eq!(scene.cuts(), [("revoked", CutPoint::Handler)]);
}

#[tokio::test]
async fn leaves_a_response_without_a_body_alone() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        for (line, status) in [("HEAD /stream", "200"), ("GET /204", "204"), ("GET /304", "304")] {
            let close: &[&[u8]] = &[b"Connection: close", b"TE: trailers"];
            let response = complete_response(&format!("{line} {version}"), close).await;
            assert!(response.contains(&format!(" {status} ")), "{line} {version}: {response}");
            assert_eq!(body(&response), "", "{line} {version}");
            assert!(!response.contains("trailer:"), "{line} {version}: {response}");
        }
    }
}

#[tokio::test]
async fn resets_an_http2_stream_that_announced_a_length() {
    for path in ["/stream", "/sized", "/events/filled", "/events/sized", "/old"] {
        let scene = Scene::new();
        let address = scene.serve(routes()).await;
        let mut response =
            send_request(address, true, path, &[("authorization", "Bearer ar-1")]).await;
        let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
        assert!(frame.into_data().unwrap().ends_with(b"first\n") || path.contains("events"));
        scene.running(1).await;
        scene.revoke("ar-1");
        let error = soon(response.body_mut().frame()).await.unwrap().unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.downcast_ref::<h2::Error>().unwrap().is_reset(), "{path}: {source:?}");
    }
}

/// Sends a request with these headers over HTTP/2, and returns its denial.
async fn denied(method: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap) {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    scene.revoke("ar-1");
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}/stream"))
        .header("authorization", "Bearer ar-1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let (parts, _) = soon(sender.send_request(request)).await.unwrap().into_parts();
    (parts.status.as_u16(), parts.headers)
}

#[tokio::test]
async fn no_header_of_http1_turns_a_denial_into_200() {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    scene.revoke("ar-1");
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        for method in ["GET", "POST"] {
            let headers: [&[u8]; 4] = [
                b"Content-Type: application/grpc",
                b"TE: trailers",
                b"Content-Length: 0",
                b"Connection: close",
            ];
            let line = format!("{method} /stream {version}");
            let response = Exchange::start(address, &line, &headers).await.end().await;
            assert!(response.starts_with(&format!("{version} 401 ")), "{line}: {response}");
            assert!(body(&response).contains("session revoked"), "{line}: {response}");
            assert!(!response.contains("grpc-status"), "{line}: {response}");
        }
    }
}

#[tokio::test]
async fn only_a_grpc_call_is_denied_by_grpc_status() {
    let (grpc, te) = (("content-type", "application/grpc+proto"), ("te", "trailers"));
    let (status, headers) = denied("POST", &[grpc, te]).await;
    assert_eq!((status, &headers["grpc-status"]), (200, &"16".parse().unwrap()));
    let others: [(&str, &[(&str, &str)]); 6] = [
        ("GET", &[grpc, te]),
        ("PUT", &[grpc, te]),
        ("POST", &[grpc]),
        ("POST", &[te]),
        ("POST", &[("content-type", "application/grpc-web"), te]),
        ("POST", &[grpc, ("content-type", "text/plain"), te]),
    ];
    for (method, headers) in others {
        let (status, answered) = denied(method, headers).await;
        assert_eq!(status, 401, "{method} {headers:?}");
        assert!(!answered.contains_key("grpc-status"), "{method} {headers:?}");
    }
}
