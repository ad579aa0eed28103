//! Cost of the layer to an axum service under load. `cargo bench --bench axum` takes about a minute
//! and writes `target/figures/axum.json`.
//!
//! One thread serves hello world, with the layer and without it. Each request has the claims of a
//! verified token in its extensions, or an authority computed from them. Another thread keeps 64
//! connections busy with one request each, written and read as plain bytes, so that the server is
//! the bottleneck.
//!
//! The layer is in one stack with the one that inserts the claims, or is a layer of its own, which
//! axum boxes once more. A layer that does nothing measures the cost of that box. The services take
//! turns of a quarter of a second. The result is the ratio within each round, since other load on
//! the machine may change between rounds.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use caracal_revocation::metrics::Exporter;
use caracal_revocation::{GatewayLayer, Revocations};
use caracal_test_support::figures::{self, Figures, head, row};
use caracal_test_support::tokens;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;

const CONNECTIONS: usize = 64;
const TURN: Duration = Duration::from_millis(250);
const ROUNDS: usize = 40;
const REVOKED: u64 = 1_000;
const TOKENS: u64 = 256;
/// Target: requests a second with the layer, in percent of those without it.
const AIM: f64 = 97.0;

fn main() {
    if !figures::measuring() {
        return;
    }
    let _exporter = Exporter::install().expect("no recorder yet");
    let revocations = tokens::revoked(REVOKED);
    let server = Server::start(&revocations);
    let load = single();
    let rounds = load.block_on(LocalSet::new().run_until(async {
        let mut loads = Vec::new();
        for address in server.services {
            let mut load = Load::connect(address).await;
            // One turn to warm up.
            load.turn(&server).await;
            loads.push(load);
        }
        let mut rounds: [Vec<Turn>; SERVICES] = Default::default();
        for round in 0..ROUNDS {
            revocations.confirm(revocations.now());
            // Rotate the order, so that no service always goes first.
            for at in (0..SERVICES).map(|at| (at + round) % SERVICES) {
                rounds[at].push(loads[at].turn(&server).await);
            }
        }
        rounds
    }));
    report(&rounds);
}

const SERVICES: usize = 7;
const NAMES: [&str; SERVICES] = [
    "without the layer",
    "with it, in one stack",
    "without it, and a layer that does nothing",
    "with it, as a layer of its own",
    "without it, an authority and no claims",
    "with it, an authority and no claims",
    "without it, and a layer that only wraps bodies",
];

fn report(rounds: &[Vec<Turn>; SERVICES]) {
    let rates = rounds.each_ref().map(|turns| turns.iter().map(|turn| turn.a_second).collect());
    let times = rounds.each_ref().map(|turns| turns.iter().map(|turn| turn.on_core).collect());
    let [rates, times]: [[Vec<f64>; SERVICES]; 2] = [rates, times];
    let shares = |with: usize, without: usize| -> Vec<f64> {
        let pairs = rates[with].iter().zip(&rates[without]);
        pairs.map(|(with, without)| 100.0 * with / without).collect()
    };
    let added = |with: usize, without: usize| -> Vec<f64> {
        let pairs = times[with].iter().zip(&times[without]);
        pairs.map(|(with, without)| with - without).collect()
    };
    let mut figures = Figures::of("axum");
    head("hello world, keep-alive: requests a second", "");
    NAMES.iter().zip(&rates).for_each(|(name, rates)| row(name, rates));
    head("the server's processor time a request", "ns");
    NAMES.iter().zip(&times).for_each(|(name, times)| row(name, times));
    for (name, with, without) in [
        ("in one stack", 1, 0),
        ("as a layer of its own", 3, 0),
        ("as a layer of its own, beside one that does nothing", 3, 2),
        ("on an authority", 5, 4),
        ("in one stack, beside one that only wraps bodies", 1, 6),
    ] {
        head(&format!("the layer {name}"), "");
        row("requests a second, of those without it, %", &shares(with, without));
        row("processor time added to a request, ns", &added(with, without));
        let share = format!("requests with the layer {name}, of those without");
        figures.add(&share, &shares(with, without), "%");
        let name = format!("requests with the layer {name}");
        figures.add_with_floor(&name, &rates[with], "requests/s", &rates[without]);
    }
    println!("\n  the aim: at least {AIM:.0} % of the requests");
    figures.write();
}

/// All services, on one thread.
struct Server {
    /// Addresses in the order of [`NAMES`].
    services: [SocketAddr; SERVICES],
    /// The kernel's file with that thread's processor time.
    schedstat: String,
}

impl Server {
    fn start(revocations: &Revocations) -> Self {
        let revocations = revocations.clone();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            single().block_on(async {
                let hello = || Router::new().route("/", get(async || "Hello, World!"));
                let claims = tokens::tokens(TOKENS, 0);
                let known: Vec<_> = claims.iter().map(|one| revocations.authority(one)).collect();
                let (verified, known) = (put_in(claims), put_in(known));
                let layer = GatewayLayer::new(revocations);
                let authority = ServiceBuilder::new().layer(known.clone()).layer(layer.clone());
                let stack = ServiceBuilder::new().layer(verified.clone()).layer(layer.clone());
                let nothing = MapRequestLayer::new(|request: Request| request);
                // Changes the type of each body, as every layer that watches bodies must. axum then
                // boxes the body.
                let wrapping = ServiceBuilder::new()
                    .layer(verified.clone())
                    .map_request(|request: Request| request.map(|body| body.map_err(same)))
                    .map_response(|response: Response| response.map(|body| body.map_err(same)));
                let services = [
                    serve(hello().layer(verified.clone())).await,
                    serve(hello().layer(stack)).await,
                    serve(hello().layer(nothing).layer(verified.clone())).await,
                    serve(hello().layer(layer).layer(verified)).await,
                    serve(hello().layer(known)).await,
                    serve(hello().layer(authority)).await,
                    serve(hello().layer(wrapping)).await,
                ];
                let task = fs::read_link("/proc/thread-self").expect("Linux");
                let schedstat = format!("/proc/{}/schedstat", task.display());
                sender.send(Self { services, schedstat }).expect("the receiver waits");
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().expect("the server starts")
    }

    fn on_core(&self) -> Duration {
        let text = fs::read_to_string(&self.schedstat).unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.unwrap_or(0))
    }
}

/// Replaces the layer that verifies tokens: inserts each value in turn.
fn put_in<T>(known: Vec<T>) -> MapRequestLayer<impl Fn(Request) -> Request + Clone>
where
    T: Clone + Send + Sync + 'static,
{
    let known: Arc<[T]> = known.into();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    MapRequestLayer::new(move |mut request: Request| {
        let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % known.len();
        request.extensions_mut().insert(known[at].clone());
        request
    })
}

fn same(error: axum::Error) -> axum::Error {
    error
}

type Request = axum::extract::Request;
type Response = axum::response::Response;

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The result of one service in one turn.
struct Turn {
    a_second: f64,
    /// Processor time of the server's thread per request, in nanoseconds.
    on_core: f64,
}

/// Connections to one service, with one request at a time each.
struct Load {
    streams: Vec<TcpStream>,
    /// Length of a response: all are the same.
    answer: usize,
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n";

impl Load {
    async fn connect(address: SocketAddr) -> Self {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).await.expect("the server answers");
            stream.set_nodelay(true).expect("a socket");
            streams.push(stream);
        }
        let mut answer = vec![0; 4_096];
        streams[0].write_all(REQUEST).await.expect("the server reads");
        let mut len = 0;
        while !answer[..len].ends_with(b"Hello, World!") {
            len += streams[0].read(&mut answer[len..]).await.expect("the server answers");
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
        Self { streams, answer: len }
    }

    async fn turn(&mut self, server: &Server) -> Turn {
        let (done, until) = (Rc::new(Cell::new(0_u64)), Instant::now() + TURN);
        let (start, busy) = (Instant::now(), server.on_core());
        let mut turns = Vec::new();
        for mut stream in self.streams.drain(..) {
            let (done, len) = (Rc::clone(&done), self.answer);
            turns.push(tokio::task::spawn_local(async move {
                let mut answer = vec![0; len];
                while Instant::now() < until {
                    stream.write_all(REQUEST).await.expect("the server reads");
                    stream.read_exact(&mut answer).await.expect("the server answers");
                    assert_eq!(answer[9..12], *b"200");
                    done.set(done.get() + 1);
                }
                stream
            }));
        }
        // Keep the client awake: the server would have to wake a sleeping client, more often the
        // slower it is.
        tokio::task::spawn_local(async move {
            while Instant::now() < until {
                tokio::task::yield_now().await;
            }
        });
        for turn in turns {
            self.streams.push(turn.await.expect("the connection ends"));
        }
        let (took, busy) = (start.elapsed(), server.on_core() - busy);
        let done = done.get() as f64;
        Turn { a_second: done / took.as_secs_f64(), on_core: busy.as_nanos() as f64 / done }
    }
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
