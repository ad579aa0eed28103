//! Costs by size. `cargo bench --bench size` takes about a minute and writes
//! `target/figures/size.json` and the plots in `docs/plots`.
//!
//! It measures a verdict with a thousand to a million entries, compared with a locked map. With one
//! to a hundred thousand running streams, it measures the cost of one more stream, and the time
//! from the call that applies a revocation until the stream's task sees it. All sizes take turns,
//! so that other load on the machine affects each. `-- large` measures ten million entries instead.

#[path = "size/large.rs"]
mod large;
#[path = "size/plot.rs"]
mod plot;

use std::collections::HashMap;
use std::fs;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{RwLock, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use caracal_revocation::gateway::{Guarded, GuardedResponseBody};
use caracal_revocation::state::{Checks, Options, RevocationsWriter, Verdict};
use caracal_revocation::{Claims, GatewayLayer};
use caracal_test_support::figures::{self, Figures, head, median, quantile, row};
use caracal_test_support::services::{Idle, Streams};
use caracal_test_support::tokens;
use http::Request;
use http_body_util::Empty;
use hyper::body::{Body, Bytes};
use plot::{Line, draw};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service};

const ENTRIES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// So many tokens that no look-up finds data of an earlier one in the processor's caches.
const TOKENS: u64 = 65_536;
/// Checks in one sample. Their tokens are read just before, as a service does.
const SAMPLE: usize = 64;
const STREAMS: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
const STARTED: usize = 200;
const CUT: usize = 20;
const ROUNDS: usize = 10;

fn main() {
    if !figures::measuring() {
        return;
    }
    if std::env::args().any(|argument| argument == "large") {
        return large::measure();
    }
    let mut figures = Figures::of("size");
    verdicts(&mut figures);
    streams(&mut figures);
    figures.write();
}

/// The cost in each round, for each size.
type Rounds<const N: usize> = [Vec<f64>; N];

fn line<const N: usize>(name: &'static str, sizes: [f64; N], rounds: &Rounds<N>) -> Line {
    let costs = rounds.iter().map(|rounds| median(rounds));
    Line { name, points: sizes.into_iter().zip(costs).collect() }
}

fn save(name: &str, svg: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plots");
    fs::create_dir_all(folder).expect("a folder");
    fs::write(format!("{folder}/{name}.svg"), svg).expect("a file");
}

// Verdicts.

/// This project's state, and the structure in which services keep revocations today: a map under a
/// lock, which is taken once for the four look-ups.
struct Filled {
    ours: RevocationsWriter,
    map: RwLock<HashMap<String, Instant>>,
    revoked: Vec<Claims>,
}

impl Filled {
    fn with(entries: u64) -> Self {
        let until = Instant::now() + Duration::from_secs(24 * 60 * 60);
        let map = (0..entries).map(|n| (tokens::id(n), until)).collect();
        let ours = tokens::revoked(entries);
        Self { ours, map: RwLock::new(map), revoked: tokens::tokens(TOKENS / 4, entries) }
    }

    fn ours_denies(&self, claims: &Claims) -> bool {
        let now = self.ours.now_coarse();
        let verdict = self.ours.decide(black_box(claims), &Checks::default(), now);
        !matches!(black_box(verdict), Verdict::Admitted(_))
    }

    fn map_denies(&self, claims: &Claims) -> bool {
        let (map, now) = (self.map.read().expect("no panic"), Instant::now());
        let is_known = |id| map.get(id).is_some_and(|until| *until > now);
        black_box(black_box(claims).anchors(true).any(|(_, id)| is_known(id)))
    }
}

/// Returns the median of the samples, in ns per check.
fn check(tokens: &[Claims], denied: bool, denies: impl Fn(&Claims) -> bool) -> f64 {
    let sample = |tokens: &[Claims]| {
        tokens.iter().for_each(read);
        let start = Instant::now();
        let found = tokens.iter().filter(|claims| denies(claims)).count();
        let took = start.elapsed().as_nanos() as f64 / tokens.len() as f64;
        assert_eq!(found, if denied { tokens.len() } else { 0 });
        took
    };
    median(&tokens.chunks(SAMPLE).map(sample).collect::<Vec<_>>())
}

/// Reads the token, as its verifier has just done.
fn read(claims: &Claims) {
    let bytes = |id: &str| id.bytes().map(u64::from).sum::<u64>();
    black_box(claims.anchors(true).map(|(_, id)| bytes(id)).sum::<u64>());
}

fn verdicts(figures: &mut Figures) {
    eprintln!("filling states with up to a million entries");
    let filled = ENTRIES.map(Filled::with);
    let unknown = tokens::tokens(TOKENS, 0);
    let (mut misses, mut hits, mut maps): (Rounds<4>, Rounds<4>, Rounds<4>) = Default::default();
    for round in 0..ROUNDS {
        eprintln!("verdicts, round {} of {ROUNDS}", round + 1);
        for (at, filled) in filled.iter().enumerate() {
            filled.ours.confirm(filled.ours.now());
            misses[at].push(check(&unknown, false, |claims| filled.ours_denies(claims)));
            hits[at].push(check(&filled.revoked, true, |claims| filled.ours_denies(claims)));
            maps[at].push(check(&unknown, false, |claims| filled.map_denies(claims)));
        }
    }
    head("a verdict on four anchors, clock included", "ns");
    for (at, entries) in ENTRIES.into_iter().enumerate() {
        row(&format!("nothing matches, {entries} entries"), &misses[at]);
        row(&format!("one matches, {entries} entries"), &hits[at]);
        row(&format!("nothing matches, locked map of {entries}"), &maps[at]);
        figures.add_with_floor(&format!("miss, {entries} entries"), &misses[at], "ns", &maps[at]);
        figures.add(&format!("hit, {entries} entries"), &hits[at], "ns");
    }
    let sizes = ENTRIES.map(|entries| entries as f64);
    let lines = [
        line("nothing matches", sizes, &misses),
        line("one matches", sizes, &hits),
        line("RwLock&lt;HashMap&gt;", sizes, &maps),
    ];
    save("verdict", &draw("A verdict on four anchors", "entries", "ns", &lines));
}

// Streams.

type Streaming = Pin<Box<GuardedResponseBody<Idle>>>;

/// A service with a number of idle streams.
struct Serving {
    revocations: RevocationsWriter,
    service: Guarded<Streams>,
    /// The number of streams started. Each has its own claims.
    started: u64,
    _running: Vec<Streaming>,
}

impl Serving {
    fn with(streams: usize) -> Self {
        let revocations = RevocationsWriter::new(Options::default());
        revocations.confirm(revocations.now());
        let service = GatewayLayer::new(revocations.reader()).layer(Streams);
        let mut serving = Self { revocations, service, started: 0, _running: Vec::new() };
        serving._running = (0..streams).map(|_| serving.start().1).collect();
        serving
    }

    /// Returns the session and request of one more stream.
    fn request(&mut self) -> (String, Request<Empty<Bytes>>) {
        let [sid, root, session, edge] =
            [0, 1, 2, 3].map(|anchor| tokens::id(tokens::UNKNOWN + self.started * 4 + anchor));
        self.started += 1;
        let mut claims = tokens::claims(&sid);
        claims.root_sid = Some(root.into());
        claims.agent_session_id = Some(session.into());
        claims.delegation_edge_id = Some(edge.into());
        let mut request = Request::new(Empty::new());
        request.extensions_mut().insert(claims);
        (sid, request)
    }

    /// Starts one more stream, up to the point where it waits.
    fn start(&mut self) -> (String, Streaming) {
        let (sid, request) = self.request();
        let body = run(&mut self.service, request);
        (sid, body)
    }

    /// Returns nanoseconds for one more stream: decided, started, registered and removed.
    fn cost_of_one_more(&mut self) -> f64 {
        let requests: Vec<_> = (0..STARTED).map(|_| self.request().1).collect();
        let start = Instant::now();
        for request in requests {
            drop(black_box(run(&mut self.service, request)));
        }
        start.elapsed().as_nanos() as f64 / STARTED as f64
    }

    /// Returns microseconds from the call that applies a revocation until the stream's task sees
    /// it.
    fn cut_one(&mut self, runtime: &Runtime) -> f64 {
        let (sid, mut body) = self.start();
        let ((report, reports), (wait, waits)) = (mpsc::channel(), mpsc::channel());
        runtime.spawn(async move {
            let mut is_waiting = Some(wait);
            let end = poll_fn(|cx| {
                let polled = body.as_mut().poll_frame(cx);
                // The stream is registered from here on.
                if let Some(wait) = is_waiting.take() {
                    wait.send(()).expect("the receiver waits");
                }
                polled
            });
            assert!(matches!(end.await, Some(Err(_))), "a stream that is cut ends with an error");
            report.send(Instant::now()).expect("the receiver waits");
        });
        waits.recv().expect("the stream waits");
        // Then wait a while.
        thread::sleep(Duration::from_micros(300));
        let start = Instant::now();
        tokens::revoke_session(&self.revocations, &sid);
        (reports.recv().expect("the stream is cut") - start).as_secs_f64() * 1e6
    }
}

fn run(service: &mut Guarded<Streams>, request: Request<Empty<Bytes>>) -> Streaming {
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
        panic!("nothing here waits");
    };
    let mut body = Box::pin(response.into_body());
    assert!(body.as_mut().poll_frame(&mut context).is_ready());
    assert!(body.as_mut().poll_frame(&mut context).is_pending());
    body
}

fn streams(figures: &mut Figures) {
    eprintln!("starting up to a hundred thousand streams");
    let runtime =
        Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let mut serving = STREAMS.map(Serving::with);
    let (mut more, mut cuts): (Rounds<6>, Rounds<6>) = Default::default();
    let mut worst: Rounds<6> = Default::default();
    for round in 0..ROUNDS {
        eprintln!("streams, round {} of {ROUNDS}", round + 1);
        for (at, serving) in serving.iter_mut().enumerate() {
            serving.revocations.confirm(serving.revocations.now());
            more[at].push(serving.cost_of_one_more());
            let times: Vec<_> = (0..CUT).map(|_| serving.cut_one(&runtime)).collect();
            cuts[at].push(median(&times));
            worst[at].push(quantile(&times, 0.9));
        }
    }
    head("one stream more, from judged to gone", "ns");
    for (at, streams) in STREAMS.into_iter().enumerate() {
        row(&format!("beside {streams}"), &more[at]);
        figures.add(&format!("one stream more, beside {streams}"), &more[at], "ns");
    }
    head("one stream cut, from applied until its task knows", "µs");
    for (at, streams) in STREAMS.into_iter().enumerate() {
        row(&format!("of {streams}, p50"), &cuts[at]);
        row(&format!("of {streams}, p90"), &worst[at]);
        figures.add(&format!("one of {streams} streams cut, p50"), &cuts[at], "µs");
        figures.add(&format!("one of {streams} streams cut, p90"), &worst[at], "µs");
    }
    let sizes = STREAMS.map(|streams| streams as f64);
    let lines = [line("judged to gone", sizes, &more)];
    save("stream", &draw("One stream more", "streams that run already", "ns", &lines));
    let lines = [line("p50", sizes, &cuts), line("p90", sizes, &worst)];
    save("cut", &draw("One stream cut: applied to known", "streams that run", "µs", &lines));
}
