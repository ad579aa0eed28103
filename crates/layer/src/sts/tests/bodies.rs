//! Bodies in many chunks, too long, and broken off.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::StreamBody;

use super::{FORM, Forwarded, denied, post, revoked, send};
use crate::RequestDenialKind::{BrokenBody, OversizedBody, Revoked, StalledBody};
use crate::StsLayer;

type Chunk = Result<Frame<Bytes>, &'static str>;

fn streamed(
    frames: impl futures_util::Stream<Item = Chunk>,
) -> Request<StreamBody<impl futures_util::Stream<Item = Chunk>>> {
    Request::post("/oauth/2/token")
        .header("content-type", FORM)
        .body(StreamBody::new(frames))
        .unwrap()
}

fn chunks(text: &str, size: usize) -> Vec<Chunk> {
    let bytes = text.as_bytes().chunks(size).map(Bytes::copy_from_slice);
    bytes.map(|chunk| Ok(Frame::data(chunk))).collect()
}

#[tokio::test]
async fn reads_body_of_many_chunks() {
    let layer = StsLayer::new(revoked().reader());
    for size in 1..8 {
        let frames = chunks("x=1&session_id=ar-1", size);
        let request = streamed(stream::iter(frames));
        assert_eq!(send(&layer, request).await, denied(Revoked, 401));
        let mut frames = chunks("session_id=ar-2", size);
        frames.insert(1, Ok(Frame::data(Bytes::new())));
        frames.push(Ok(Frame::trailers(HeaderMap::new())));
        let outcome = send(&layer, streamed(stream::iter(frames))).await;
        assert_eq!(outcome, Forwarded("session_id=ar-2".into()));
    }
}

#[tokio::test]
async fn accepts_body_of_64_kib_and_not_one_byte_more() {
    let layer = StsLayer::new(revoked().reader());
    let fits = format!("x={}", "a".repeat(65_534));
    assert_eq!(send(&layer, post(&fits)).await, Forwarded(fits.clone().into()));
    let long = format!("{fits}a");
    assert_eq!(send(&layer, post(&long)).await, denied(OversizedBody, 413));
    let endless = stream::iter(std::iter::repeat_with(|| Ok(Frame::data("aaaa".into()))));
    assert_eq!(send(&layer, streamed(endless)).await, denied(OversizedBody, 413));
    let mut announced = post("session_id=ar-2");
    announced.headers_mut().insert("content-length", "65537".parse().unwrap());
    assert_eq!(send(&layer, announced).await, denied(OversizedBody, 413));
}

#[test]
fn memory_depends_on_bytes_not_on_chunks() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let layer = StsLayer::new(revoked().reader());
    let length = 64 * 1024;
    // Each chunk has its own allocation, which is freed unless the layer keeps it.
    let form = b"x=".iter().copied().chain(std::iter::repeat(b'a')).take(length);
    let bytes = form.map(|byte| Ok(Frame::data(Bytes::copy_from_slice(&[byte]))));
    let used = allocation_counter::measure(|| {
        let sent = runtime.block_on(send(&layer, streamed(stream::iter(bytes))));
        assert!(matches!(sent, Forwarded(body) if body.len() == length));
    });
    assert!(used.bytes_max < 8 * length as u64, "{used:?}");
}

#[tokio::test(start_paused = true)]
async fn denies_body_that_stalls_or_ends_early() {
    let layer = StsLayer::new(revoked().reader()).with_body_deadline(Duration::from_secs(10));
    let frames = chunks("session_id=ar-2", 4).into_iter();
    let stalled = futures_util::StreamExt::chain(stream::iter(frames), stream::pending());
    assert_eq!(send(&layer, streamed(stalled)).await, denied(StalledBody, 408));
    let broken = vec![Ok(Frame::data("session_id=ar-2".into())), Err("reset")];
    assert_eq!(send(&layer, streamed(stream::iter(broken))).await, denied(BrokenBody, 400));
}
