//! Plain responses and waiting handlers, with hyper's clients and curl.

use std::process::Stdio;

use axum::response::IntoResponse;
use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper::{Response, body::Incoming};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::*;

fn routes() -> Router {
    let slow = async || {
        std::future::pending::<()>().await;
        "never"
    };
    let sized =
        async || ([(header::CONTENT_LENGTH, "100")], unending_body("first\n")).into_response();
    Router::new()
        .route("/stream", get(async || unending_body("first\n")))
        .route("/sized", get(sized))
        .route("/slow", get(slow))
}

/// Sends a request on a new connection.
pub(super) async fn send_request(
    address: SocketAddr,
    version2: bool,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Incoming> {
    let mut request = Request::get(path).header(header::HOST, "localhost");
    if version2 {
        request = Request::get(format!("http://{address}{path}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    if version2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.unwrap()
    }
}

const BEARER: (&str, &str) = ("authorization", "Bearer ar-1");

async fn first_chunk(response: &mut Response<Incoming>) {
    let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first\n");
}

#[tokio::test]
async fn hyper_reports_a_cut_response() {
    for (version2, path) in
        [(false, "/stream"), (true, "/stream"), (false, "/sized"), (true, "/sized")]
    {
        let scene = Scene::new();
        let address = scene.serve(routes()).await;
        let mut response = send_request(address, version2, path, &[BEARER]).await;
        first_chunk(&mut response).await;
        scene.running(1).await;
        scene.revoke("ar-1");
        let error = soon(response.body_mut().frame()).await.unwrap().unwrap_err();
        if version2 {
            let source = std::error::Error::source(&error).unwrap();
            let reset = source.downcast_ref::<h2::Error>().unwrap();
            assert!(reset.is_reset() && reset.is_remote(), "{reset:?}");
        } else {
            let reported = format!("{error:?}");
            assert!(
                error.is_incomplete_message() || reported.contains("UnexpectedEof"),
                "{reported}"
            );
        }
        scene.running(0).await;
        assert_eq!(scene.cuts(), [("revoked", CutPoint::Response)]);
    }
}

#[tokio::test]
async fn hyper_reads_announced_trailer_if_it_accepts_trailers() {
    for version2 in [false, true] {
        let scene = Scene::new();
        let address = scene.serve(routes()).await;
        let headers = [BEARER, ("te", "trailers")];
        let mut response = send_request(address, version2, "/stream", &headers).await;
        assert_eq!(response.headers()["trailer"], "x-caracal-revoked");
        first_chunk(&mut response).await;
        scene.running(1).await;
        scene.revoke("ar-1");
        let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_trailers().unwrap()["x-caracal-revoked"], "true");
        assert!(soon(response.body_mut().frame()).await.is_none(), "a clean end");
    }
}

#[tokio::test]
async fn answers_in_place_of_a_waiting_handler() {
    for version2 in [false, true] {
        let scene = Scene::new();
        let address = scene.serve(routes()).await;
        let request = tokio::spawn(async move {
            send_request(address, version2, "/slow", &[BEARER, ("x-request-id", "req-7")]).await
        });
        scene.running(1).await;
        scene.revoke("ar-1");
        let response = soon(request).await.unwrap();
        assert_eq!(response.status(), 401);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "error": "invalid_token", "error_description": "session revoked", "requestId": "req-7",
        });
        assert_eq!(body, expected);
        assert_eq!(scene.cuts(), [("revoked", CutPoint::Handler)]);
    }
}

#[tokio::test]
async fn disconnected_client_leaves_nothing_registered() {
    for version2 in [false, true] {
        for path in ["/stream", "/slow"] {
            let scene = Scene::new();
            let address = scene.serve(routes()).await;
            let request = tokio::spawn(async move {
                let mut response = send_request(address, version2, path, &[BEARER]).await;
                while let Some(Ok(_)) = response.body_mut().frame().await {}
            });
            scene.running(1).await;
            request.abort();
            // The spawned connection task ends with its last handle.
            scene.running(0).await;
            assert_eq!(scene.cuts(), []);
        }
    }
}

/// Returns curl's output after the first line, and its exit code.
async fn curl(scene: &Scene, arguments: &[&str], url: &str) -> (String, Option<i32>) {
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--no-buffer", "--max-time", "60"])
        .args(["--header", "Authorization: Bearer ar-1"])
        .args(arguments)
        .arg(url)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(curl.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("first") && !line.starts_with("data: 1") {
        line.clear();
        assert!(stdout.read_line(&mut line).await.unwrap() > 0, "curl printed nothing");
    }
    scene.running(1).await;
    scene.revoke("ar-1");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    (rest, soon(curl.wait()).await.unwrap().code())
}

#[tokio::test]
async fn curl_exit_code_reports_each_ending() {
    const PARTIAL_FILE: i32 = 18;
    const HTTP2_STREAM_ERROR: i32 = 92;
    let cases: [(&[&str], &str, i32); 6] = [
        (&["--http1.1"], "/stream", PARTIAL_FILE),
        (&["--http1.1"], "/sized", PARTIAL_FILE),
        (&["--http2-prior-knowledge"], "/stream", HTTP2_STREAM_ERROR),
        (&["--http1.1", "-H", "TE: trailers", "-D", "-"], "/stream", 0),
        (&["--http2-prior-knowledge", "-H", "TE: trailers", "-D", "-"], "/stream", 0),
        // The response announced a length: a trailer cannot make it complete.
        (&["--http1.1", "-H", "TE: trailers"], "/sized", PARTIAL_FILE),
    ];
    for (arguments, path, code) in cases {
        let scene = Scene::new();
        let address = scene.serve(routes()).await;
        let (rest, exit) = curl(&scene, arguments, &format!("http://{address}{path}")).await;
        assert_eq!(exit, Some(code), "{arguments:?} {path}: {rest}");
        assert_eq!(rest.contains("x-caracal-revoked: true"), code == 0, "{arguments:?}: {rest}");
    }
}
