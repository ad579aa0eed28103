//! Time to cut requests that already run, and the cost of the guard while nothing is revoked.
//! `cargo bench --bench cut` takes about a minute and writes `target/figures/cut.json`.
//!
//! 1. A short request through the layer, with and without its guard.
//! 2. The memory of a guarded stream, by the growth of the process; and the time of its entry into
//!    the registry, next to 100,000 others.
//! 3. One stream over TCP among 100,000 idle ones: from the call that applies its revocation to the
//!    moment at which its client sees the end.
//! 4. 10,000 streams over TCP cut at once, and the effect on other requests: with clients of the
//!    same priority as the server, and of a lower one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use caracal_revocation::gateway::{CutOptions, GuardedRequestBody};
use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::wire::{KeyRing, Message, Stream};
use caracal_revocation::{Admission, Claims, GatewayLayer};
use caracal_test_support::figures::{load_average, measuring, quantile};
use caracal_test_support::services::Streams;
use caracal_test_support::tokens;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tower::{Layer, Service, ServiceBuilder, service_fn};

const SHORT_BATCHES: usize = 400;
const SHORT_BATCH: usize = 256;
const IDLE: usize = 100_000;
const ENTRIES: usize = 200;
const ENTRY_ROUNDS: usize = 200;
const CUTS_OF_ONE: usize = 1_000;
const AT_ONCE: usize = 10_000;
const A_CONNECTION: usize = 100;
const ROUNDS: usize = 5;
const QUIET: Duration = Duration::from_millis(500);

fn main() {
    // Only `cargo bench` measures.
    if !measuring() {
        return;
    }
    println!("load average before the run: {}", load_average());
    let mut figures = Vec::new();
    short_requests(&mut figures);
    memory(&mut figures);
    entry(&mut figures);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    one_among_many(&runtime, &mut figures);
    many_at_once(&runtime, 0, &mut figures);
    many_at_once(&runtime, 10, &mut figures);
    println!("load average after it: {}", load_average());
    std::fs::create_dir_all("target/figures").unwrap();
    let text = serde_json::to_string_pretty(&figures).unwrap();
    std::fs::write("target/figures/cut.json", text + "\n").unwrap();
}

fn fresh() -> RevocationsWriter {
    let revocations = RevocationsWriter::new(Options::default());
    revocations.confirm(revocations.now());
    revocations
}

fn revoke(revocations: &RevocationsWriter, anchor: &str, id: &str) {
    let fields: [(&[u8], &[u8]); 1] = [(anchor.as_bytes(), id.as_bytes())];
    let message = Message::new(Stream::SessionsRevoke, &fields);
    let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
    revocations.apply(&event, revocations.now());
}

/// Returns claims with four anchors and a zone; only `root` and the zone are shared.
fn claims(n: usize) -> Claims {
    let id = |kind: u32| Box::from(format!("{kind:08x}-0000-4000-8000-{n:012x}"));
    let mut claims = tokens::claims(&id(1));
    claims.root_sid = Some("00000000-0000-4000-8000-000000000000".into());
    claims.agent_session_id = Some(id(2));
    claims.delegation_edge_id = Some(id(3));
    claims.zone_id = Some("00000000-0000-4000-8000-0000000000ff".into());
    claims
}

// 1. Short requests.

/// A service that answers at once, for any request body.
#[derive(Clone, Copy)]
struct Hello;

impl<B> Service<Request<B>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::from("hello"))))
    }
}

/// Returns nanoseconds per request with its body read to the end, without the time to build it.
fn short_batch<S, B>(service: &mut S) -> f64
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let mut context = Context::from_waker(Waker::noop());
    let requests: Vec<_> = (0..SHORT_BATCH)
        .map(|n| {
            let mut request = Request::get("/").body(Empty::new()).unwrap();
            request.headers_mut().insert(header::ACCEPT, "*/*".parse().unwrap());
            request.extensions_mut().insert(claims(n));
            request
        })
        .collect();
    let start = Instant::now();
    for request in requests {
        let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
            panic!("nothing here waits");
        };
        let mut body = pin!(response.into_body());
        while !body.is_end_stream() {
            let Poll::Ready(frame) = body.as_mut().poll_frame(&mut context) else {
                panic!("nothing here waits");
            };
            black_box(frame.and_then(Result::ok));
        }
    }
    start.elapsed().as_nanos() as f64 / SHORT_BATCH as f64
}

fn short_requests(figures: &mut Vec<Value>) {
    let revocations = fresh();
    // Fill the filter, as in production.
    (0..1_000).for_each(|n| revoke(&revocations, "sid", &format!("revoked-{n}")));
    let mut bare = Hello;
    let off = CutOptions::new().insecure_disabled();
    let mut without = GatewayLayer::new(revocations.reader()).with_cutting(off).layer(Hello);
    let mut with = GatewayLayer::new(revocations.reader()).layer(Hello);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..SHORT_BATCHES {
        times[0].push(short_batch(&mut bare));
        times[1].push(short_batch(&mut without));
        times[2].push(short_batch(&mut with));
    }
    let [bare, without, with] = times.map(|times| quantile(&times, 0.5));
    println!(
        "a short request: the service {bare:.0} ns, with the layer {without:.0}, that also guards {with:.0}"
    );
    println!("  guarding adds {:.0} ns (aim: 300)", with - without);
    figures.push(figure("guarding a short request, added", with - without, "ns", None));
    figures.push(json!({
        "name": "a short request through the guarding layer",
        "value": with, "unit": "ns", "peer": without, "floor": bare, "ratio": with / without,
    }));
}

// 2. Memory.

/// Starts an idle stream behind the layer, and returns its waiting body.
fn idle_body<S>(service: &mut S, n: usize, waker: &Waker) -> Pin<Box<S::ResBody>>
where
    S: Answers,
{
    let mut context = Context::from_waker(waker);
    let mut request = Request::new(Empty::new());
    request.extensions_mut().insert(claims(n));
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
        panic!("nothing here waits");
    };
    let mut body = Box::pin(response.into_body());
    assert!(body.as_mut().poll_frame(&mut context).is_ready());
    assert!(body.as_mut().poll_frame(&mut context).is_pending());
    body
}

/// A service whose response body type can be named.
trait Answers:
    Service<Request<Empty<Bytes>>, Response = Response<Self::ResBody>, Error = Infallible>
{
    type ResBody: Body<Data = Bytes>;
}

impl<S, B> Answers for S
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    type ResBody = B;
}

/// Returns the resident memory of this process in bytes.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4_096.0
}

fn memory(figures: &mut Vec<Value>) {
    // A waker like tokio's: a pointer and a count.
    let waker = Waker::from(Arc::new(NoopWaker));
    let grown = |layer: GatewayLayer| {
        let mut service = layer.layer(Streams);
        let before = resident();
        let bodies: Vec<_> = (0..IDLE).map(|n| idle_body(&mut service, n, &waker)).collect();
        let grown = (resident() - before) / IDLE as f64;
        (grown, bodies)
    };
    let guarded = grown(GatewayLayer::new(fresh().reader()));
    let off = CutOptions::new().insecure_disabled();
    let bare = grown(GatewayLayer::new(fresh().reader()).with_cutting(off));
    println!(
        "an idle stream: {:.0} bytes guarded, {:.0} without (body and handle)",
        guarded.0, bare.0
    );
    println!("  guarding adds {:.0} bytes (aim: 512)", guarded.0 - bare.0);
    figures.push(figure("memory of guarding a stream", guarded.0 - bare.0, "bytes", None));
}

struct NoopWaker;

impl std::task::Wake for NoopWaker {
    fn wake(self: Arc<Self>) {}
}

/// Measures the entry of one more stream into the registry, and its exit. It enters under four
/// anchors and its end, and the state is checked once more. The floor is a sharded map with one
/// entry for each stream.
fn entry(figures: &mut Vec<Value>) {
    let revocations = fresh();
    let service = service_fn(|mut request: Request<GuardedRequestBody<Empty<Bytes>>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.extensions_mut() = std::mem::take(request.extensions_mut());
        ready(Ok::<_, Infallible>(response))
    });
    let mut service = GatewayLayer::new(revocations.reader()).layer(service);
    let mut start = |n| {
        let mut context = Context::from_waker(Waker::noop());
        let mut request = Request::new(Empty::new());
        request.extensions_mut().insert(claims(n));
        let Poll::Ready(Ok(mut response)) = pin!(service.call(request)).poll(&mut context) else {
            panic!("nothing here waits");
        };
        response.extensions_mut().remove::<Admission>().unwrap()
    };
    let enter = |one: &Admission| assert!(one.revoked().cut().is_none());
    let shards: Vec<Mutex<HashMap<usize, Arc<()>>>> = (0..64).map(|_| Mutex::default()).collect();
    let value = Arc::new(());
    let insert = |n: usize| drop(shards[n % 64].lock().unwrap().insert(n, Arc::clone(&value)));
    let remove = |n: usize| drop(shards[n % 64].lock().unwrap().remove(&n));
    let idle: Vec<_> = (0..IDLE).map(&mut start).collect();
    idle.iter().for_each(enter);
    (0..IDLE).for_each(insert);
    let mut times = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for n in (IDLE..).step_by(ENTRIES).take(ENTRY_ROUNDS) {
        revocations.confirm(revocations.now());
        let more: Vec<_> = (n..n + ENTRIES).map(&mut start).collect();
        let mut time = |at: usize, work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            times[at].push(start.elapsed().as_nanos() as f64 / ENTRIES as f64);
        };
        time(0, &mut || more.iter().for_each(enter));
        time(1, &mut || (n..n + ENTRIES).for_each(insert));
        let mut more = Some(more);
        time(2, &mut || drop(more.take()));
        time(3, &mut || (n..n + ENTRIES).for_each(remove));
    }
    let [entry, entry_floor, exit, exit_floor] = times.map(|times| quantile(&times, 0.5));
    println!(
        "one stream more next to {IDLE}: entry {entry:.0} ns, exit {exit:.0} (aim: entry 2000)"
    );
    println!("  the floor: {entry_floor:.0} and {exit_floor:.0} ns");
    figures.push(figure("entry into the registry next to 100,000", entry, "ns", Some(entry_floor)));
    figures.push(figure("exit from the registry next to 100,000", exit, "ns", Some(exit_floor)));
}

// 3 and 4. Over TCP.

/// Serves this behind the layer, over HTTP/1.1 and HTTP/2.
async fn serve<S, B>(layer: GatewayLayer, service: S) -> SocketAddr
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
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(service.clone());
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

fn one_among_many(runtime: &Runtime, figures: &mut Vec<Value>) {
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
        let address = serve(layer, Streams).await;
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

/// Opens all streams, a hundred on each connection. Each reports when it ends.
async fn open(address: SocketAddr) -> mpsc::UnboundedReceiver<Instant> {
    let (report, reports) = mpsc::unbounded_channel();
    let (ready, mut readied) = mpsc::unbounded_channel();
    for connection in 0..AT_ONCE / A_CONNECTION {
        let stream = TcpStream::connect(address).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connected) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connected);
        for n in (connection * A_CONNECTION..).take(A_CONNECTION) {
            sender.ready().await.unwrap();
            let answer = sender.send_request(request(address, "/stream", n));
            let (report, ready) = (report.clone(), ready.clone());
            tokio::spawn(async move {
                let mut response = answer.await.unwrap();
                response.body_mut().frame().await.unwrap().unwrap();
                let _ = ready.send(());
                assert!(response.body_mut().frame().await.unwrap().is_err());
                let _ = report.send(Instant::now());
            });
        }
    }
    for _ in 0..AT_ONCE {
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

/// Raises the niceness of this thread by this much.
fn raise_niceness(by: i32) {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The 19th field. The second one is a name in brackets.
    let own = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(16));
    let niceness = own.unwrap().parse::<i32>().unwrap() + by;
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let mut renice = Command::new("renice");
    renice.args(["-n", &niceness.to_string(), "-p"]).arg(thread.file_name().unwrap());
    assert!(renice.output().unwrap().status.success(), "renice");
}

/// The clients share the cores with the server, and have nearly as much to do for each end. If they
/// are nicer, they mostly use the time that the server and the other requests leave.
fn many_at_once(server: &Runtime, niceness: i32, figures: &mut Vec<Value>) {
    // The clients have their own runtime, so their work for ten thousand endings does not slow the
    // server.
    let clients = Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(move || raise_niceness(niceness))
        .enable_all()
        .build()
        .unwrap();
    let (mut spans, mut quiet, mut busy) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let revocations = fresh();
        let layer = GatewayLayer::new(revocations.reader());
        let address = server.block_on(serve(layer.clone(), Streams));
        let other = server.block_on(serve(layer, Hello));
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
            for _ in 0..AT_ONCE {
                last = last.max(ended.recv().await.unwrap());
            }
            last
        });
        over.store(true, Ordering::Relaxed);
        let times = client.join().unwrap();
        spans.push((last - start).as_secs_f64() * 1e3);
        println!(
            "  a round: applied in {:.1} ms, the last end after {:.1} ms",
            applied.as_secs_f64() * 1e3,
            (last - start).as_secs_f64() * 1e3
        );
        for (at, time) in times {
            if at < start {
                quiet.push(time)
            } else if at < last {
                busy.push(time)
            }
        }
    }
    let (span, worst) = (quantile(&spans, 0.5), quantile(&spans, 1.0));
    let [quiet50, quiet99] = [0.5, 0.99].map(|share| quantile(&quiet, share));
    let [busy50, busy99] = [0.5, 0.99].map(|share| quantile(&busy, share));
    println!(
        "{AT_ONCE} at once, clients nicer by {niceness}: the last ends after {span:.1} ms, at worst {worst:.1} (aim: 100)"
    );
    println!(
        "  other requests during a cut: p50 {busy50:.0}, p99 {busy99:.0} µs; before: {quiet50:.0}, {quiet99:.0} (aim: p99 1000)"
    );
    let clients = format!("clients nicer by {niceness}");
    figures.push(figure(
        &format!("10,000 streams cut at once, the last, {clients}"),
        span,
        "ms",
        None,
    ));
    let name = format!("other requests while 10,000 are cut, p99, {clients}");
    figures.push(figure(&name, busy99, "us", Some(quiet99)));
}

fn figure(name: &str, value: f64, unit: &str, floor: Option<f64>) -> Value {
    let ratio = floor.map(|floor| value / floor);
    json!({ "name": name, "value": value, "unit": unit, "peer": null, "floor": floor, "ratio": ratio })
}
