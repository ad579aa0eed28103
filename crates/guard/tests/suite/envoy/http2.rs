//! Clients of HTTP/2 and gRPC.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::setup::{Filter, Setup};

/// An application that speaks HTTP/2, as gRPC needs it.
const HTTP2: [(&str, &str); 1] = [(
    "explicit_http_config: { http_protocol_options: {} }",
    "explicit_http_config: { http2_protocol_options: {} }",
)];

struct Client(SendRequest<Empty<Bytes>>);

impl Client {
    async fn connect(setup: &Setup) -> Self {
        let stream = TcpStream::connect(setup.address).await.unwrap();
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn send(&mut self, request: http::request::Builder) -> Response<Incoming> {
        self.0.send_request(request.body(Empty::new()).unwrap()).await.unwrap()
    }

    async fn get(&mut self, path: &str, token: &str) -> Response<Incoming> {
        let uri = format!("http://app.example{path}");
        self.send(Request::get(uri).header("authorization", format!("Bearer {token}"))).await
    }

    /// Calls a method of gRPC.
    async fn call(&mut self, path: &str, token: &str) -> Response<Incoming> {
        let request = Request::post(format!("http://app.example{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        self.send(request).await
    }
}

/// Reads until the end. Returns the trailers, or `None` if the stream was broken off.
async fn end(mut body: Incoming) -> Option<HeaderMap> {
    let all = async {
        let mut trailers = HeaderMap::new();
        while let Some(frame) = body.frame().await {
            if let Ok(more) = frame.ok()?.into_trailers() {
                trailers = more;
            }
        }
        Some(trailers)
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("the stream has no end")
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn breaks_http2_stream_off() {
    let Some(setup) = Setup::start(Filter::ExtProc).await else { return };
    let mut client = Client::connect(&setup).await;
    let token = setup.world.mint("ar-h2");
    let mut response = client.get("/sse", &token).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.frame().await.unwrap().is_ok());
    setup.world.revoke("ar-h2").await;
    assert_eq!(end(response.into_body()).await, None);
    // The connection itself goes on.
    let other = setup.world.mint("ar-other");
    assert_eq!(client.get("/orders/1", &other).await.status(), StatusCode::OK);
    assert_eq!(client.get("/orders/1", &token).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn lets_complete_grpc_call_pass_and_cuts_running_one() {
    let setup = Setup::start_with(Filter::ExtProc, &HTTP2, &[]).await;
    let Some(setup) = setup else { return };
    let mut client = Client::connect(&setup).await;
    let token = setup.world.mint("ar-call");
    let complete = client.call("/orders/calls/One", &token).await;
    let trailers = end(complete.into_body()).await.expect("broken off");
    assert_eq!(text(&trailers, "grpc-status"), Some("0"));

    let mut running = client.call("/orders/calls/Endless", &token).await;
    assert!(running.frame().await.unwrap().is_ok());
    setup.world.revoke("ar-call").await;
    let trailers = end(running.into_body()).await;
    let status = trailers.as_ref().map(|trailers| text(trailers, "grpc-status"));
    assert_ne!(status, Some(Some("0")), "looks complete");
}

/// Calls a method that is denied, and returns the status and the message of gRPC.
async fn denied(setup: &Setup, path: &str, token: &str) -> (String, String) {
    setup.upstream.take();
    let response = Client::connect(setup).await.call(path, token).await;
    assert_eq!(setup.upstream.take(), []);
    let (head, body) = response.into_parts();
    assert_eq!(text(&head.headers, "content-type"), Some("application/grpc"), "{head:?}");
    let trailers = end(body).await.unwrap_or_default();
    let value = |name| text(&head.headers, name).or_else(|| text(&trailers, name));
    let value = |name| value(name).unwrap_or_default().to_owned();
    (value("grpc-status"), value("grpc-message"))
}

async fn denies_calls(filter: Filter) {
    let Some(mut setup) = Setup::start_with(filter, &HTTP2, &[]).await else { return };
    let [token, revoked] = ["ar-call", "ar-revoked"].map(|sid| setup.world.mint(sid));
    setup.world.revoke("ar-revoked").await;
    setup.front().until(401, "/orders/1", &revoked).await;
    for (path, token, code, error) in [
        ("/orders/calls/One", revoked.as_str(), "16", "session_revoked"),
        ("/scoped/calls/One", &token, "7", "insufficient_scope"),
    ] {
        let (status, message) = denied(&setup, path, token).await;
        assert_eq!(status, code, "{message}");
        assert!(message.contains(error), "{message}");
    }
    setup.guard.kill();
    let (status, message) = denied(&setup, "/orders/calls/One", &token).await;
    assert_eq!(status, "14", "{message}");
    assert!(message.contains("sts_unavailable"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_proc_denies_grpc_calls_with_their_status() {
    denies_calls(Filter::ExtProc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_denies_grpc_calls_with_their_status() {
    denies_calls(Filter::ExtAuthz).await;
}
