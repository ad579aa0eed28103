//! Revocations and outages of the guard cut the requests that run.

use std::net::SocketAddr;
use std::time::Duration;

use caracal_test_support::waiting::eventually;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::setup::{Filter, Setup};
use crate::exchange::{body, status};

/// A request on a connection of its own.
pub(super) struct Running {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Running {
    /// Sends a request, and waits until this text has arrived.
    pub(super) async fn start(address: SocketAddr, request: &str, text: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut running = Self { stream, read: Vec::new() };
        running.until(text).await;
        running
    }

    /// Forgets what has arrived, and waits until this text arrives.
    pub(super) async fn next(&mut self, text: &str) {
        self.read.clear();
        self.until(text).await;
    }

    async fn until(&mut self, text: &str) {
        let arrives = async {
            while !String::from_utf8_lossy(&self.read).contains(text) {
                let count = self.stream.read_buf(&mut self.read).await.unwrap();
                assert_ne!(count, 0, "ended: {}", String::from_utf8_lossy(&self.read));
            }
        };
        let result = tokio::time::timeout(Duration::from_secs(30), arrives).await;
        assert!(result.is_ok(), "no {text:?} in {}", String::from_utf8_lossy(&self.read));
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits for the end of the connection, and returns everything that arrived.
    pub(super) async fn end(mut self) -> String {
        let all = self.stream.read_to_end(&mut self.read);
        let result = tokio::time::timeout(Duration::from_secs(60), all).await;
        assert!(result.is_ok(), "not cut: {} bytes", self.read.len());
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// Returns a request with this token and these further lines.
fn request(line: &str, token: &str, lines: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: app.example\r\nAuthorization: Bearer {token}\r\n{lines}\r\n")
}

fn get(path: &str, token: &str) -> String {
    request(&format!("GET {path}"), token, "")
}

const LAST_CHUNK: &str = "0\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn cuts_event_stream_and_chunked_response_only_of_revoked_token() {
    let Some(setup) = Setup::start(Filter::ExtProc).await else { return };
    let [gone, other] = ["ar-gone", "ar-other"].map(|sid| setup.world.mint(sid));
    let silent = Running::start(setup.address, &get("/sse", &gone), "data: 1").await;
    let busy = Running::start(setup.address, &get("/chunked", &gone), "chunk").await;
    let mut left = Running::start(setup.address, &get("/chunked", &other), "chunk").await;
    setup.world.revoke("ar-gone").await;
    for cut in [silent, busy] {
        let all = cut.end().await;
        assert!(!all.ends_with(LAST_CHUNK), "looks complete: {all}");
    }
    left.next("chunk").await;
    setup.world.revoke("ar-other").await;
    assert!(!left.end().await.ends_with(LAST_CHUNK));
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_web_socket() {
    let Some(setup) = Setup::start(Filter::ExtProc).await else { return };
    let token = setup.world.mint("ar-ws");
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = request("GET /ws", &token, lines);
    let mut socket = Running::start(setup.address, &upgrade, "101 Switching").await;
    // A masked text frame, with a mask of zeros; the answer has no mask.
    socket.send(b"\x81\x82\0\0\0\0hi").await;
    socket.next("hi").await;
    setup.world.revoke("ar-ws").await;
    socket.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denies_upload_that_is_revoked_while_it_runs() {
    let Some(setup) = Setup::start(Filter::ExtProc).await else { return };
    let token = setup.world.mint("ar-upload");
    // Passes once, so that the revocation below is the reason of the denial.
    assert_eq!(status(&setup.front().get("/orders/1", &token).await), 200);
    let lines = "Content-Length: 1000\r\nExpect: 100-continue\r\n";
    let start = request("POST /orders/1", &token, lines);
    let mut upload = Running::start(setup.address, &start, "100 Continue").await;
    upload.send(b"hello").await;
    setup.world.revoke("ar-upload").await;
    upload.next("HTTP/1.1 401").await;
    upload.until("session_revoked").await;
}

/// More than Envoy allows in a cluster without a `circuit_breakers`.
const STREAMS: u64 = 1_100;

#[tokio::test(flavor = "multi_thread")]
async fn cuts_thousand_streams_and_leaves_others() {
    let Some(setup) = Setup::start(Filter::ExtProc).await else { return };
    let [gone, other] = ["ar-gone", "ar-other"].map(|sid| setup.world.mint(sid));
    let mut left = Running::start(setup.address, &get("/chunked", &other), "chunk").await;
    let request = get("/sse", &gone);
    let all = stream::iter(0..STREAMS)
        .map(|_| Running::start(setup.address, &request, "data: 1"))
        .buffer_unordered(20)
        .collect::<Vec<_>>()
        .await;
    assert_eq!(setup.envoy_counter("http.main.ext_proc.streams_started").await, STREAMS + 1);
    setup.world.revoke("ar-gone").await;
    for cut in all {
        assert!(!cut.end().await.ends_with(LAST_CHUNK));
    }
    left.next("chunk").await;
    assert_eq!(setup.envoy_counter("http.main.ext_proc.failure_mode_allowed").await, 0);
}

/// Runs a silent and a busy response until `outage` has happened, and expects both to be cut.
async fn cut_by(setup: &mut Setup, outage: impl FnOnce(&mut Setup)) {
    let token = setup.world.mint("ar-running");
    let silent = Running::start(setup.address, &get("/sse", &token), "data: 1").await;
    let busy = Running::start(setup.address, &get("/chunked", &token), "chunk").await;
    outage(setup);
    for cut in [silent, busy] {
        let all = cut.end().await;
        assert!(!all.ends_with(LAST_CHUNK), "looks complete: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_running_responses_when_guard_is_killed() {
    let Some(mut setup) = Setup::start(Filter::ExtProc).await else { return };
    cut_by(&mut setup, |setup| setup.guard.kill()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_running_responses_when_guard_hangs() {
    let Some(mut setup) = Setup::start(Filter::ExtProc).await else { return };
    cut_by(&mut setup, |setup| setup.guard.signal("STOP")).await;
    setup.guard.signal("CONT");
    let token = setup.world.mint("ar-after");
    setup.front().until(200, "/orders/1", &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_running_responses_at_end_of_drain() {
    let extra = ("CONFIG", "[limits]\ndrain_ms = 1000\n");
    let setup = Setup::start_with(Filter::ExtProc, &[], &[extra]).await;
    let Some(mut setup) = setup else { return };
    cut_by(&mut setup, |setup| setup.guard.signal("TERM")).await;
    // The program ended each stream itself.
    eventually("the guard ends", || setup.guard.has_ended()).await;
    assert!(!setup.guard.log().contains("broken off"), "{}", setup.guard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_running_response_beyond_staleness_bound_if_configured() {
    let routes = "[[routes]]\npath = \"/sse\"\ncut_when_unknown = true\n";
    let environment = [crate::front_outages::SHORT_BOUND, ("CONFIG", routes)];
    let setup = Setup::start_with(Filter::ExtProc, &[], &environment).await;
    let Some(setup) = setup else { return };
    let token = setup.world.mint("ar-stale");
    let cut = Running::start(setup.address, &get("/sse", &token), "data: 1").await;
    let mut left = Running::start(setup.address, &get("/chunked", &token), "chunk").await;
    setup.world.redis.freeze();
    assert!(!cut.end().await.ends_with(LAST_CHUNK));
    left.next("chunk").await;
    let response = setup.front().get("/orders/1", &token).await;
    assert_eq!(status(&response), 503, "{}", body(&response));
}
