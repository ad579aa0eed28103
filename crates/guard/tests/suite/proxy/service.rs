//! A service whose responses and uploads run for as long as a test needs.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::net::TcpListener;

/// A service on a free port, over HTTP/1.1 and HTTP/2:
///
/// - `/sse`: an event, and then nothing;
/// - `/chunked`: a chunk every 10 ms, without an end;
/// - `/flood`: as much as the client takes;
/// - `/length`: a million announced bytes, ten every 10 ms;
/// - `/upload`: counts the body, and answers after it;
/// - `/echo`: sends the body back while it arrives, with its trailers;
/// - `/never`: no answer;
/// - `/ws`: a WebSocket that sends `welcome`, and then echoes.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Seen,
}

/// The requests that the service saw.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    uploaded: usize,
    upload: Option<Result<(), String>>,
    dropped: usize,
    versions: Vec<String>,
}

impl Seen {
    /// Returns the number of bytes of `/upload` so far.
    pub(crate) fn uploaded(&self) -> usize {
        self.0.lock().unwrap().uploaded
    }

    /// Returns the end of the upload: whole, or broken off with an error.
    pub(crate) fn upload_end(&self) -> Option<Result<(), String>> {
        self.0.lock().unwrap().upload.clone()
    }

    /// Returns the number of responses and handlers that ended before they were complete.
    pub(crate) fn dropped(&self) -> usize {
        self.0.lock().unwrap().dropped
    }

    /// Returns the version of each request.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.0.lock().unwrap().versions.clone()
    }

    fn counted(&self) -> Dropped {
        Dropped(self.clone())
    }
}

struct Dropped(Seen);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().dropped += 1;
    }
}

impl Service {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let app = app(&seen);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The routes of the service, for other kinds of listeners.
pub(crate) fn app(seen: &Seen) -> Router {
    let recorder = seen.clone();
    let record = axum::middleware::map_request(move |request: Request| {
        let version = format!("{:?}", request.version());
        recorder.0.lock().unwrap().versions.push(version);
        std::future::ready(request)
    });
    Router::new()
        .route("/sse", get(sse))
        .route("/chunked", get(chunked))
        .route("/flood", get(flood))
        .route("/length", get(length))
        .route("/upload", post(upload))
        .route("/echo", any(echo))
        .route("/never", any(never))
        .route("/ws", any(websocket))
        .layer(record)
        .with_state(seen.clone())
}

async fn sse(State(seen): State<Seen>) -> Response {
    let guard = seen.counted();
    let first = stream::once(async { Ok::<_, Infallible>("data: 1\n\n") });
    let rest = stream::once(async move {
        let _guard = guard;
        std::future::pending().await
    });
    ([("content-type", "text/event-stream")], Body::from_stream(first.chain(rest))).into_response()
}

fn endless(seen: &Seen, part: &'static str) -> Body {
    Body::from_stream(stream::unfold(seen.counted(), move |guard| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, Infallible>(part), guard))
    }))
}

async fn chunked(State(seen): State<Seen>) -> Response {
    endless(&seen, "chunk\n").into_response()
}

async fn flood(State(seen): State<Seen>) -> Response {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let chunks = stream::unfold((seen.counted(), chunk), async |(guard, chunk)| {
        Some((Ok::<_, Infallible>(chunk.clone()), (guard, chunk)))
    });
    Body::from_stream(chunks).into_response()
}

async fn length(State(seen): State<Seen>) -> Response {
    ([("content-length", "1000000")], endless(&seen, "ten bytes\n")).into_response()
}

async fn upload(State(seen): State<Seen>, body: Body) -> Response {
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let mut inner = seen.0.lock().unwrap();
        match chunk {
            Ok(chunk) => inner.uploaded += chunk.len(),
            Err(error) => {
                inner.upload = Some(Err(error.to_string()));
                return "broken".into_response();
            }
        }
    }
    seen.0.lock().unwrap().upload = Some(Ok(()));
    "whole".into_response()
}

/// Sends the body back. The response announces the trailer `x-sum`, and counts the trailers of the
/// request in it.
async fn echo(request: Request) -> Response {
    let frames = stream::unfold(Some(request.into_body()), |body| async move {
        let mut body = body?;
        match body.frame().await {
            Some(Ok(frame)) if frame.is_data() => Some((Ok::<_, Infallible>(frame), Some(body))),
            Some(Ok(frame)) => Some((Ok(sum(frame.into_trailers().unwrap_or_default())), None)),
            _ => Some((Ok(sum(HeaderMap::new())), None)),
        }
    });
    let body = Body::new(StreamBody::new(frames));
    ([("trailer", "x-sum")], body).into_response()
}

fn sum(received: HeaderMap) -> Frame<Bytes> {
    let mut names: Vec<_> = received.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let value = format!("[{}]", names.join(" "));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::try_from(value).unwrap());
    Frame::trailers(trailers)
}

async fn never(State(seen): State<Seen>) -> Response {
    let _guard = seen.counted();
    std::future::pending().await
}

async fn websocket(State(seen): State<Seen>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["chat"]).on_upgrade(async move |mut socket: WebSocket| {
        let _guard = seen.counted();
        let _ = socket.send(Message::Text("welcome".into())).await;
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}
