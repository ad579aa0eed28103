//! Requests that already run are cut over real connections; each kind of client reports its ending.

mod crowd;
mod events;
mod full;
mod grpc;
mod http;
mod raw;
mod stalled;
mod uploads;
mod websocket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{Request, header};
use axum::Router;
use axum::body::Body;
use caracal_revocation::gateway::{CutOptions, CutPoint};
use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::wire::{KeyRing, Message, Stream};
use caracal_revocation::{Claims, GatewayLayer, Revocations};
use futures_util::stream::{self, StreamExt};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::util::MapRequestLayer;

/// A fresh state, and the reported cuts.
#[derive(Clone)]
struct Scene {
    revocations: Revocations,
    /// `None` if a follower owns the writer.
    writer: Option<Arc<RevocationsWriter>>,
    cuts: Arc<Mutex<Vec<(&'static str, CutPoint)>>>,
}

impl Scene {
    fn new() -> Self {
        let writer = RevocationsWriter::new(Options::default());
        writer.confirm(writer.now());
        let scene = Self::of(writer.reader());
        Self { writer: Some(Arc::new(writer)), ..scene }
    }

    fn of(revocations: Revocations) -> Self {
        Self { revocations, writer: None, cuts: Arc::default() }
    }

    fn layer(&self) -> GatewayLayer {
        let cuts = Arc::clone(&self.cuts);
        let cutting = CutOptions::new().on_cut(move |report| {
            cuts.lock().unwrap().push((report.cut.label(), report.part));
        });
        GatewayLayer::new(self.revocations.clone()).with_cutting(cutting)
    }

    fn revoke(&self, sid: &str) {
        let fields: [(&[u8], &[u8]); 1] = [(b"sid", sid.as_bytes())];
        let message = Message::new(Stream::SessionsRevoke, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        let writer = self.writer.as_ref().unwrap();
        writer.apply(&event, writer.now());
    }

    fn cuts(&self) -> Vec<(&'static str, CutPoint)> {
        self.cuts.lock().unwrap().clone()
    }

    /// Waits until this many anchors are registered.
    async fn running(&self, anchors: usize) {
        crate::live::eventually("registered", || self.revocations.running() == anchors).await;
    }

    /// Serves the routes behind the layer, over HTTP/1.1 and HTTP/2.
    async fn serve(&self, routes: Router) -> SocketAddr {
        self.serve_on(routes, |_| ()).await
    }

    /// Serves like `serve`, and calls `accepted` with each connection first.
    async fn serve_on(
        &self,
        routes: Router,
        accepted: impl Fn(&TcpStream) + Send + 'static,
    ) -> SocketAddr {
        let app =
            routes.layer(self.layer()).layer(MapRequestLayer::new(authenticate(&self.revocations)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted(&stream);
                let service = TowerToHyperService::new(app.clone());
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let io = TokioIo::new(stream);
                    let _ = builder.serve_connection_with_upgrades(io, service).await;
                });
            }
        });
        address
    }
}

/// Replaces an authentication layer: these tests are about what happens after it.
fn authenticate<B>(
    revocations: &Revocations,
) -> impl Fn(Request<B>) -> Request<B> + Clone + use<B> {
    let revocations = revocations.clone();
    move |mut request| {
        let bearer = request.headers().get(header::AUTHORIZATION);
        let sid = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let now = revocations.now().wall.as_secs().cast_signed();
        if let Some(claims) = sid.map(|sid| Claims::new(sid, now, now + 3_600)) {
            request.extensions_mut().insert(claims);
        }
        request
    }
}

/// Returns a body that sends this chunk and then never ends.
fn unending_body(chunk: &'static str) -> Body {
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from(chunk))]);
    Body::from_stream(first.chain(stream::pending()))
}

/// Waits for `future` with a limit that suffices on any machine.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("the future does not complete within 60 s")
}
