//! Cost of the layer to an axum service under load, and of other layers for comparison. `cargo bench
//! --bench axum` takes about two minutes and writes `target/figures/axum.json`.
//!
//! One thread serves hello world in several lanes. Another thread keeps 64 connections busy with one
//! request each, written and read as plain bytes, so that the server is the bottleneck. The lanes
//! take turns of 150 ms. Each result is a ratio within each round, since other load on the machine
//! may change between rounds.
//!
//! In most lanes each request has the claims of a verified token in its extensions, or an authority
//! computed from them; the layer is in one stack with the one that inserts them, or is a layer of
//! its own, which axum boxes once more. In the last three lanes each request carries a token.
//! `axum-jwt-auth` verifies an HMAC each time, which is its cheapest signature. Our layer finds the
//! token in its cache of verified ones.
//!
//! `-- instructions` counts the instructions of a request in each lane instead, with valgrind.

#[path = "axum/apps.rs"]
mod apps;
#[path = "axum/instructions.rs"]
mod instructions;

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use apps::{App, apps};
use axum::Router;
use axum::serve::ListenerExt;
use caracal_revocation::Revocations;
use caracal_revocation::metrics::Exporter;
use caracal_test_support::figures::{self, Figures, head, load_average, median, row};
use caracal_test_support::tokens;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

const CONNECTIONS: usize = 64;
const TURN: Duration = Duration::from_millis(150);
const ROUNDS: usize = 60;
const REVOKED: u64 = 1_000;

fn main() {
    if !figures::measuring() {
        return;
    }
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "instructions") {
        return instructions::measure();
    }
    if let Some(at) = arguments.iter().position(|argument| argument == instructions::LANE) {
        return instructions::run(&arguments[at + 1]);
    }
    let _exporter = Exporter::install().expect("no recorder yet");
    let revocations = tokens::revoked(REVOKED);
    let server = Server::start(&revocations);
    let load = single();
    println!("load average before the run: {}", load_average());
    let rounds = load.block_on(LocalSet::new().run_until(async {
        let mut loads = Vec::new();
        for lane in &server.lanes {
            let mut load = Load::connect(lane).await;
            // One turn to warm up.
            load.turn(&server).await;
            loads.push(load);
        }
        let mut rounds = vec![Vec::new(); loads.len()];
        for round in 0..ROUNDS {
            revocations.confirm(revocations.now());
            // Rotate the order, so that no lane always goes first.
            let count = loads.len();
            for at in (0..count).map(|at| (at + round) % count) {
                rounds[at].push(loads[at].turn(&server).await);
            }
        }
        rounds
    }));
    println!("load average after it: {}", load_average());
    report(&server.lanes, &rounds);
}

/// A layer, the lane with it, and the lane without it.
const LAYERS: [(&str, &str, &str); 7] = [
    ("ours, in one stack", "claims, ours", "claims"),
    ("ours, as a layer of its own", "claims, ours of its own", "claims, a layer that does nothing"),
    ("ours, on an authority", "authority, ours", "authority"),
    ("ours, with a token", "token, ours", "token"),
    ("TraceLayer", "claims, TraceLayer", "claims"),
    ("SetRequestId and Timeout", "claims, SetRequestId and Timeout", "claims"),
    ("axum-jwt-auth", "token, axum-jwt-auth", "token"),
];

/// Lanes of ours that are compared with lanes of others.
const PEERS: [(&str, &str); 3] = [
    ("claims, ours", "claims, TraceLayer"),
    ("claims, ours", "claims, SetRequestId and Timeout"),
    ("token, ours", "token, axum-jwt-auth"),
];

fn report(lanes: &[Lane], rounds: &[Vec<Turn>]) {
    let of = |name: &str, value: fn(&Turn) -> f64| -> Vec<f64> {
        let at = lanes.iter().position(|lane| lane.name == name).expect("a lane");
        rounds[at].iter().map(value).collect()
    };
    let rates = |name: &str| of(name, |turn| turn.a_second);
    let pairs = |with: &str, without: &str| -> Vec<f64> {
        rates(with).iter().zip(rates(without)).map(|(with, without)| with / without).collect()
    };
    let mut figures = Figures::of("axum");
    head("hello world, keep-alive: requests a second", "");
    lanes.iter().for_each(|lane| row(lane.name, &rates(lane.name)));
    head("the server's processor time a request", "ns");
    lanes.iter().for_each(|lane| row(lane.name, &of(lane.name, |turn| turn.on_core)));
    head("requests with a layer, of those without it", "%");
    for (name, with, without) in LAYERS {
        let shares: Vec<_> = pairs(with, without).iter().map(|share| 100.0 * share).collect();
        row(&format!("{name}; the middle half {}", middle_half(&shares)), &shares);
        figures.add(&format!("requests with {name}, of those without"), &shares, "%");
    }
    head("processor time that a layer adds to a request", "ns");
    for (name, with, without) in LAYERS {
        let times = of(with, |turn| turn.on_core);
        let without = of(without, |turn| turn.on_core);
        let added: Vec<_> = times.iter().zip(without).map(|(with, bare)| with - bare).collect();
        row(&format!("{name}; the middle half {}", middle_half(&added)), &added);
        figures.add(&format!("processor time added by {name}"), &added, "ns");
    }
    head("requests with ours, times those with another", "");
    for (ours, other) in PEERS {
        let times = pairs(ours, other);
        let won = times.iter().filter(|times| **times > 1.0).count();
        row(&format!("{ours} / {other}; more in {won} of {ROUNDS}"), &times);
        figures.add_with_floor(
            &format!("{ours} / {other}"),
            &rates(ours),
            "requests/s",
            &rates(other),
        );
    }
    let share = |lane: &str, bare: &str| 100.0 * median(&pairs(lane, bare));
    println!(
        "\n  {:.1} % with claims (aim: 95), {:.1} % on an authority (aim: 97)",
        share("claims, ours", "claims"),
        share("authority, ours", "authority")
    );
    figures.write();
}

/// Returns the limits of the middle half of the rounds, which a disturbed round does not move.
fn middle_half(rounds: &[f64]) -> String {
    let [low, high] = [0.25, 0.75].map(|share| figures::shown(figures::quantile(rounds, share)));
    format!("{low} to {high}")
}

/// One service, and the request that it gets.
struct Lane {
    name: &'static str,
    address: SocketAddr,
    request: Arc<str>,
}

/// All services, on one thread.
struct Server {
    lanes: Vec<Lane>,
    /// The kernel's file with that thread's processor time.
    schedstat: String,
}

impl Server {
    fn start(revocations: &Revocations) -> Self {
        let revocations = revocations.clone();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            single().block_on(async {
                let lanes = lanes(revocations).await;
                let task = fs::read_link("/proc/thread-self").expect("Linux");
                let schedstat = format!("/proc/{}/schedstat", task.display());
                sender.send(Self { lanes, schedstat }).expect("the receiver waits");
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

async fn lanes(revocations: Revocations) -> Vec<Lane> {
    let mut started = Vec::new();
    for App { name, token, router } in apps(revocations).await {
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n{token}\r\n");
        started.push(Lane { name, address: serve(router).await, request: request.into() });
    }
    started
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The result of one lane in one turn.
#[derive(Clone)]
struct Turn {
    a_second: f64,
    /// Processor time of the server's thread per request, in nanoseconds.
    on_core: f64,
}

/// Connections to one service, with one request at a time each.
struct Load {
    streams: Vec<TcpStream>,
    request: Arc<str>,
    /// Length of a response: all are the same.
    answer: usize,
}

impl Load {
    async fn connect(lane: &Lane) -> Self {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(lane.address).await.expect("the server answers");
            stream.set_nodelay(true).expect("a socket");
            streams.push(stream);
        }
        let mut answer = vec![0; 4_096];
        streams[0].write_all(lane.request.as_bytes()).await.expect("the server reads");
        let mut len = 0;
        while !answer[..len].ends_with(b"Hello, World!") {
            len += streams[0].read(&mut answer[len..]).await.expect("the server answers");
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        Self { streams, request: Arc::clone(&lane.request), answer: len }
    }

    async fn turn(&mut self, server: &Server) -> Turn {
        let (done, until) = (Rc::new(Cell::new(0_u64)), Instant::now() + TURN);
        let (start, busy) = (Instant::now(), server.on_core());
        let mut turns = Vec::new();
        for mut stream in self.streams.drain(..) {
            let (done, len) = (Rc::clone(&done), self.answer);
            let request = Arc::clone(&self.request);
            turns.push(tokio::task::spawn_local(async move {
                let mut answer = vec![0; len];
                while Instant::now() < until {
                    stream.write_all(request.as_bytes()).await.expect("the server reads");
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
