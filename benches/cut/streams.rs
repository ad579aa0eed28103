//! Streams over TCP, one or many of which are cut.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use caracal_revocation::GatewayLayer;
use caracal_revocation::gateway::{ConnectionId, GuardedRequestBody};
use caracal_test_support::figures::quantile;
use caracal_test_support::services::Streams;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tower::{Layer, Service, ServiceBuilder};

use crate::http2::{DATA, Http2, RST_STREAM};
use crate::idle::{Hello, idle_body};
use crate::{IDLE, claims, figure, fresh, revoke};

const CUTS_OF_ONE: usize = 1_000;
const AT_ONCE: usize = 10_000;
const A_CONNECTION: usize = 100;
const CONNECTIONS: usize = AT_ONCE / A_CONNECTION;
const ROUNDS: usize = 10;
const QUIET: Duration = Duration::from_millis(500);

/// Serves this behind the layer, over HTTP/1.1 and HTTP/2. With `has_ids`, each request has the id
/// of its connection.
async fn serve<S, B>(layer: GatewayLayer, service: S, has_ids: bool) -> SocketAddr
where
    S: Service<Request<GuardedRequestBody<Incoming>>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let service = ServiceBuilder::new().map_request(name_claims).layer(layer).service(service);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, client)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let name_connection = move |mut request: Request<Incoming>| {
                if has_ids {
                    request.extensions_mut().insert(ConnectionId::from(client));
                }
                request
            };
            let service =
                ServiceBuilder::new().map_request(name_connection).service(service.clone());
            let service = TowerToHyperService::new(service);
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// Inserts the claims of the token that a header names.
fn name_claims<B>(mut request: Request<B>) -> Request<B> {
    let n = request.headers().get("x-n").and_then(|n| n.to_str().ok()?.parse().ok());
    let mut claims = claims(n.unwrap_or(usize::MAX));
    if n.is_none() {
        // Without a shared root: no revocation here matches.
        claims.root_sid = None;
    }
    request.extensions_mut().insert(claims);
    request
}

fn request(address: SocketAddr, path: &str, n: usize) -> Request<Empty<Bytes>> {
    Request::get(format!("http://{address}{path}"))
        .header("x-n", n.to_string())
        .header(header::HOST, "localhost")
        .body(Empty::new())
        .unwrap()
}

pub(crate) fn one_among_many(runtime: &Runtime, figures: &mut Vec<Value>) {
    let revocations = Arc::new(fresh());
    let layer = GatewayLayer::new(revocations.reader());
    // The idle streams are tasks that wait for their body, as in a server.
    let mut service = layer.clone().layer(Streams);
    let idle: Vec<_> = (0..IDLE)
        .map(|n| {
            let mut body = idle_body(&mut service, n, Waker::noop());
            runtime.spawn(async move {
                std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await.is_none()
            })
        })
        .collect();
    let times = runtime.block_on(async {
        let address = serve(layer, Streams, false).await;
        let mut times = Vec::new();
        for n in (IDLE..).take(CUTS_OF_ONE) {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let mut response = sender.send_request(request(address, "/stream", n)).await.unwrap();
            response.body_mut().frame().await.unwrap().unwrap();
            let sid = claims(n).sid;
            let revocations = Arc::clone(&revocations);
            // The stream is registered after its first chunk. Then wait a while.
            tokio::time::sleep(Duration::from_micros(200)).await;
            let (applied, ended) = tokio::join!(
                tokio::task::spawn_blocking(move || {
                    let start = Instant::now();
                    revoke(&revocations, "sid", &sid);
                    start
                }),
                async {
                    assert!(response.body_mut().frame().await.unwrap().is_err());
                    Instant::now()
                }
            );
            times.push((ended - applied.unwrap()).as_secs_f64() * 1e6);
        }
        times
    });
    assert!(idle.iter().all(|task| !task.is_finished()), "an idle stream ended");
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile(&times, share));
    println!(
        "one among {IDLE} idle: apply to last byte p50 {p50:.0}, p99 {p99:.0}, max {max:.0} µs (aim: p99 1000)"
    );
    figures.push(figure("one stream among 100,000, apply to last byte, p50", p50, "us", None));
    figures.push(figure("one stream among 100,000, apply to last byte, p99", p99, "us", None));
    idle.into_iter().for_each(|task| task.abort());
}

/// Opens all streams, a hundred on each connection. Each connection reports when its last one has
/// ended.
async fn open(address: SocketAddr) -> mpsc::UnboundedReceiver<Instant> {
    let (report, reports) = mpsc::unbounded_channel();
    let (ready, mut readied) = mpsc::unbounded_channel();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Http2::connect(address).await);
    }
    // One stream on each connection in turn, as they come in a service.
    for n in 0..AT_ONCE {
        connections[n % CONNECTIONS].get("/stream", n).await;
    }
    for mut connection in connections {
        let (report, ready) = (report.clone(), ready.clone());
        tokio::spawn(async move {
            connection.expect(DATA, A_CONNECTION).await;
            let _ = ready.send(());
            connection.expect(RST_STREAM, A_CONNECTION).await;
            let _ = report.send(Instant::now());
        });
    }
    for _ in 0..CONNECTIONS {
        readied.recv().await.unwrap();
    }
    reports
}

/// Sends other requests, one after the other, until stopped; returns the start and microseconds of
/// each.
async fn send_requests(address: SocketAddr, over: Arc<AtomicBool>) -> Vec<(Instant, f64)> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let hello = Request::get("/")
            .header(header::HOST, "localhost")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(hello).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        times.push((start, start.elapsed().as_secs_f64() * 1e6));
    }
    times
}

/// The results of all rounds of one lane.
#[derive(Default)]
struct Lane {
    /// From the call that applies the revocation to the last end, in milliseconds.
    spans: Vec<f64>,
    /// The microseconds of other requests before the cut, and during it.
    quiet: Vec<f64>,
    busy: Vec<f64>,
}

impl Lane {
    fn report(&self, name: &str, figures: &mut Vec<Value>) {
        let (span, worst) = (quantile(&self.spans, 0.5), quantile(&self.spans, 1.0));
        let [quiet50, quiet99] = [0.5, 0.99].map(|share| quantile(&self.quiet, share));
        let [busy50, busy99] = [0.5, 0.99].map(|share| quantile(&self.busy, share));
        println!(
            "{AT_ONCE} at once, {name}: the last ends after {span:.1} ms, at worst {worst:.1} (aim: 100)"
        );
        println!(
            "  other requests during a cut: p50 {busy50:.0}, p99 {busy99:.0} µs; before: {quiet50:.0}, {quiet99:.0} (aim: p99 1000)"
        );
        figures.push(figure(&format!("10,000 streams cut at once, {name}"), span, "ms", None));
        let name = format!("other requests while 10,000 are cut, {name}, p99");
        figures.push(figure(&name, busy99, "us", Some(quiet99)));
    }
}

pub(crate) fn many_at_once(server: &Runtime, figures: &mut Vec<Value>) {
    // The clients have a runtime of their own, so that their work does not delay the server's tasks.
    let clients = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let [mut without, mut with] = [Lane::default(), Lane::default()];
    for _ in 0..ROUNDS {
        round(server, &clients, false, &mut without);
        round(server, &clients, true, &mut with);
    }
    without.report("without ids of connections", figures);
    with.report("with ids of connections", figures);
}

fn round(server: &Runtime, clients: &Runtime, has_ids: bool, lane: &mut Lane) {
    let revocations = fresh();
    let layer = GatewayLayer::new(revocations.reader());
    let address = server.block_on(serve(layer.clone(), Streams, has_ids));
    let other = server.block_on(serve(layer, Hello, has_ids));
    let mut ended = clients.block_on(open(address));
    let over = Arc::<AtomicBool>::default();
    // A separate thread: ten thousand tasks of the same runtime would delay these requests.
    let client = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(send_requests(other, over))
        })
    };
    std::thread::sleep(QUIET);
    let start = Instant::now();
    // Every stream has this root.
    revoke(&revocations, "root_sid", "00000000-0000-4000-8000-000000000000");
    let applied = start.elapsed();
    let last = clients.block_on(async {
        let mut last = start;
        for _ in 0..CONNECTIONS {
            last = last.max(ended.recv().await.unwrap());
        }
        last
    });
    over.store(true, Ordering::Relaxed);
    let times = client.join().unwrap();
    let span = (last - start).as_secs_f64() * 1e3;
    lane.spans.push(span);
    println!(
        "  a round: applied in {:.1} ms, the last end after {span:.1} ms",
        applied.as_secs_f64() * 1e3
    );
    for (at, time) in times {
        if at < start {
            lane.quiet.push(time)
        } else if at < last {
            lane.busy.push(time)
        }
    }
}
