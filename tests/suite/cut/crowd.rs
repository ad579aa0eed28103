//! Ten thousand streams at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use tokio::sync::mpsc;

use super::*;

const CONNECTIONS: usize = 100;
const A_CONNECTION: usize = 100;
const STREAMS: usize = CONNECTIONS * A_CONNECTION;

type Sender = SendRequest<Empty<Bytes>>;

async fn connect(address: SocketAddr) -> Sender {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(address: SocketAddr, path: &str, sid: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://{address}{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {sid}"))
        .body(Empty::new())
        .unwrap()
}

/// Opens all streams and waits until the client has read the first chunk of each: a reset that came
/// earlier would discard the queued status. Each stream sends its number when it ends, and whether it
/// ended with an error.
async fn open(address: SocketAddr) -> mpsc::UnboundedReceiver<(usize, bool)> {
    let (report, reports) = mpsc::unbounded_channel();
    let started = Arc::new(AtomicUsize::new(0));
    for connection in 0..CONNECTIONS {
        let mut sender = connect(address).await;
        for n in (connection * A_CONNECTION..).take(A_CONNECTION) {
            sender.ready().await.unwrap();
            let answer = sender.send_request(request(address, "/stream", &format!("ar-{n}")));
            let (report, started) = (report.clone(), Arc::clone(&started));
            tokio::spawn(async move {
                let mut response = answer.await.unwrap();
                assert_eq!(response.status(), 200);
                assert_eq!(
                    response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(),
                    "first\n"
                );
                started.fetch_add(1, Ordering::SeqCst);
                let broken = loop {
                    match response.body_mut().frame().await {
                        Some(Ok(_)) => {}
                        Some(Err(_)) => break true,
                        None => break false,
                    }
                };
                let _ = report.send((n, broken));
            });
        }
    }
    let all_started = || started.load(Ordering::SeqCst) == STREAMS;
    crate::live::eventually("all streams have started", all_started).await;
    reports
}

fn routes() -> Router {
    Router::new()
        .route("/stream", get(async || unending_body("first\n")))
        .route("/", get(async || "hello"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_only_revoked_streams_among_ten_thousand() {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    let mut ended = open(address).await;
    scene.running(STREAMS).await;

    scene.revoke("ar-7777");
    assert_eq!(soon(ended.recv()).await, Some((7_777, true)));
    scene.running(STREAMS - 1).await;
    assert!(ended.try_recv().is_err(), "another stream ended");
    assert_eq!(scene.cuts(), [("revoked", CutPoint::Response)]);

    // New requests continue throughout, and each is answered.
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let fresh = tokio::spawn({
        let (over, answered, mut sender) =
            (Arc::clone(&over), Arc::clone(&answered), connect(address).await);
        async move {
            while !over.load(Ordering::SeqCst) {
                sender.ready().await.unwrap();
                let answer = sender.send_request(request(address, "/", "ar-fresh"));
                let response = soon(answer).await.unwrap();
                assert_eq!(response.status(), 200);
                let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
                assert_eq!(body, "hello");
                answered.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let before = answered.load(Ordering::SeqCst);
    let storm = scene.clone();
    tokio::task::spawn_blocking(move || {
        (0..STREAMS).filter(|n| *n != 7_777).for_each(|n| storm.revoke(&format!("ar-{n}")));
    });
    for _ in 0..STREAMS - 1 {
        let (_, broken) = soon(ended.recv()).await.unwrap();
        assert!(broken);
    }
    over.store(true, Ordering::SeqCst);
    soon(fresh).await.unwrap();
    assert!(
        answered.load(Ordering::SeqCst) > before,
        "no new request was answered during the storm"
    );
    scene.running(0).await;
    assert_eq!(scene.cuts().len(), STREAMS);
}
