//! Revocations cut the requests that run, and no others.

use futures_util::{StreamExt, stream};

use super::running::{LAST_CHUNK, Running, get, request};
use super::setup::{Filter, Setup};
use crate::exchange::status;

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
