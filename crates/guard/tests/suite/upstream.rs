//! The service behind a proxy: it reports the requests that reach it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::net::TcpListener;

/// A request as the service received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Received {
    /// Returns every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(key, _)| key == name);
        values.map(|(_, value)| value.as_str()).collect()
    }
}

/// A service on a free port. It answers `hello` on every path, except:
///
/// - `/sse`: an event, and then nothing until the client goes;
/// - `/chunked`: a chunk every 10 ms, without an end;
/// - `/ws`: a WebSocket that sends back each message;
/// - `/orders/calls/…`: an answer of gRPC, `Endless` or with one empty message and trailers.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Self { address, received: Arc::default() };
        let recorder = upstream.clone();
        let app = Router::new()
            .route("/sse", get(sse))
            .route("/chunked", get(chunked))
            .route("/ws", get(websocket))
            .route("/orders/calls/Endless", post(endless_call))
            .route("/orders/calls/One", post(one_call))
            .fallback(async move |request: Request| recorder.hello(request).await);
        tokio::spawn(async move { axum::serve(listener, app).await });
        upstream
    }

    /// Returns the requests that arrived since the last call.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().unwrap())
    }

    async fn hello(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let received = Received {
            method: head.method.to_string(),
            uri: head.uri.to_string(),
            headers: headers.collect(),
            body: axum::body::to_bytes(body, 1 << 24).await.unwrap_or_default(),
        };
        self.received.lock().unwrap().push(received);
        "hello".into_response()
    }
}

async fn sse() -> Response {
    let events = stream::once(async { Ok::<_, std::io::Error>("data: 1\n\n") });
    let body = Body::from_stream(events.chain(stream::pending()));
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn websocket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) = socket.recv().await
        {
            let _ = socket.send(message).await;
        }
    })
}

async fn chunked() -> Response {
    let chunks = stream::unfold((), async |()| {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        Some((Ok::<_, std::io::Error>("chunk\n"), ()))
    });
    Body::from_stream(chunks).into_response()
}

/// An empty message of gRPC.
const MESSAGE: Bytes = Bytes::from_static(&[0; 5]);

async fn endless_call() -> Response {
    let messages = stream::unfold((), async |()| {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        Some((Ok::<_, std::io::Error>(MESSAGE), ()))
    });
    ([("content-type", "application/grpc")], Body::from_stream(messages)).into_response()
}

async fn one_call() -> Response {
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let frames = [Frame::data(MESSAGE), Frame::trailers(trailers)];
    let frames = stream::iter(frames.map(Ok::<_, std::io::Error>));
    let body = Body::new(StreamBody::new(frames));
    ([("content-type", "application/grpc")], body).into_response()
}
