//! Server-sent events, read the way a browser's `EventSource` reads them.

use axum::response::sse::{Event, Sse};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::{Response, body::Incoming};

use super::http::send_request;
use super::*;

/// Reads events, and reconnects when a stream ends. Any status other than 200 is final.
struct EventSource {
    address: SocketAddr,
    version2: bool,
    response: Option<Response<Incoming>>,
    buffer: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Happened {
    Event {
        kind: String,
        data: String,
    },
    /// The stream ended, and the reader will reconnect.
    Reconnecting,
    /// The reader will not reconnect.
    Failed(u16),
}

impl EventSource {
    fn new(address: SocketAddr, version2: bool) -> Self {
        Self { address, version2, response: None, buffer: String::new() }
    }

    async fn next(&mut self) -> Happened {
        if self.response.is_none() {
            let headers = [("authorization", "Bearer ar-1"), ("accept", "text/event-stream")];
            let response = send_request(self.address, self.version2, "/clock", &headers).await;
            if response.status() != 200 {
                return Happened::Failed(response.status().as_u16());
            }
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            self.response = Some(response);
        }
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (mut kind, mut data) = ("message".to_owned(), String::new());
                for line in event.lines() {
                    match line.split_once(": ") {
                        Some(("event", value)) => value.clone_into(&mut kind),
                        Some(("data", value)) => data.push_str(value),
                        _ => {}
                    }
                }
                self.buffer = rest.to_owned();
                return Happened::Event { kind, data };
            }
            let response = self.response.as_mut().unwrap();
            match soon(response.body_mut().frame()).await {
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap();
                    self.buffer.push_str(std::str::from_utf8(&data).unwrap());
                }
                // An incomplete event is dropped.
                Some(Err(_)) | None => {
                    self.response = None;
                    self.buffer.clear();
                    return Happened::Reconnecting;
                }
            }
        }
    }
}

fn event(kind: &str, data: &str) -> Happened {
    Happened::Event { kind: kind.to_owned(), data: data.to_owned() }
}

const REVOKED: &str = r#"{"reason":"revoked","anchor":"sid"}"#;

#[tokio::test]
async fn event_reader_gets_the_reason_and_stays_away() {
    for version2 in [false, true] {
        let scene = Scene::new();
        let ticks = async || {
            let first = stream::iter([Ok::<_, Infallible>(Event::default().data("1"))]);
            Sse::new(first.chain(stream::pending()))
        };
        let address = scene.serve(Router::new().route("/clock", get(ticks))).await;
        let mut source = EventSource::new(address, version2);
        assert_eq!(source.next().await, event("message", "1"));
        scene.running(1).await;
        scene.revoke("ar-1");
        assert_eq!(source.next().await, event("revoked", REVOKED));
        assert_eq!(source.next().await, Happened::Reconnecting);
        assert_eq!(source.next().await, Happened::Failed(401));
        assert_eq!(scene.cuts(), [("revoked", CutPoint::EventStream)]);
    }
}

#[tokio::test]
async fn never_completes_a_partial_event() {
    for version2 in [false, true] {
        let scene = Scene::new();
        let half = async || {
            ([(header::CONTENT_TYPE, "text/event-stream")], unending_body("data: 1\n\ndata: "))
        };
        let address = scene.serve(Router::new().route("/clock", get(half))).await;
        let mut source = EventSource::new(address, version2);
        assert_eq!(source.next().await, event("message", "1"));
        scene.running(1).await;
        scene.revoke("ar-1");
        assert_eq!(source.next().await, Happened::Reconnecting);
    }
}
