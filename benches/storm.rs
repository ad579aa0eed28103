//! Serving requests during a storm of revocations. `cargo bench --bench storm` takes about two
//! minutes and writes `target/figures/storm.json`.
//!
//! Three storms of 20 s send 10,000 signed revocations a second through a real redis-server:
//! 600,000 messages in a minute. Quiet periods of 10 s separate them. At the same time, axum serves
//! requests at an even pace, and older entries of the state expire. Every tenth request has a token
//! that the storm revokes. The result compares request times in the storm and in quiet, in the same
//! run. `STORM_SECONDS=6` shortens the periods for a trial; entries expire once a minute.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use caracal_revocation::internal::sign;
use caracal_revocation::metrics::Exporter;
use caracal_revocation::state::{
    Checks, Clock, Moment, Options, RevocationsWriter, SystemClock, Verdict,
};
use caracal_revocation::wire::{Key, KeyRing, Message, Stream};
use caracal_revocation::{Follower, GatewayLayer, Revocations, Settings};
use caracal_test_support::figures::{self, Figures, quantile, row};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;
use caracal_test_support::tokens;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tower::util::MapRequestLayer;

const A_SECOND: u64 = 10_000;
/// Messages sent together, every 2 ms.
const A_TICK: u64 = 20;
const STORMS: usize = 3;
const STORM: u64 = 20;
/// Requests a second, over `CONNECTIONS` connections.
const REQUESTS: u64 = 2_000;
const CONNECTIONS: u64 = 8;
/// One request of this many has a token that the storm revokes.
const HITS: u64 = 10;
/// Older entries that expire a minute after the start.
const EXPIRING: u64 = 100_000;
/// Target: p99 of requests in the storm, divided by the p99 in quiet.
const AIM: f64 = 1.5;
const ZONE: &str = "0198c0de-0000-7000-8000-00000000000a";

fn main() {
    if !figures::measuring() {
        return;
    }
    let seconds = std::env::var("STORM_SECONDS").ok().and_then(|text| text.parse().ok());
    let storm: u64 = seconds.unwrap_or(STORM);
    let exporter = Exporter::install().expect("no recorder yet");
    let (key, server) = (Key::generate().expect("randomness"), RedisServer::in_memory());
    // The service has one runtime for the follower and the requests, as in production.
    let service =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let clock = Arc::new(Later(SystemClock::new()));
    let writer = RevocationsWriter::with_clock(Options::default(), clock);
    fill_with_old(&writer);
    let revocations = writer.reader();
    let address = service.block_on(async {
        let follower = Follower::new(settings(&server, &key)).with_writer(writer);
        let revocations = follower.spawn();
        revocations.ready().await;
        serve(&revocations).await
    });
    let published = AtomicU64::new(0);
    let periods = thread::scope(|scope| {
        let client = scope.spawn(|| requests(address, &published, storm));
        publish(&server, &key, storm, &published);
        client.join().expect("the requests end")
    });
    // All published revocations must arrive, and the old entries must expire.
    let sent = published.load(Ordering::Relaxed);
    let (last, waited) = (tokens::claims(&sid(sent.saturating_sub(1))), Instant::now());
    let is_denied = || {
        let verdict = revocations.decide(&last, &Checks::default(), revocations.now());
        matches!(verdict, Verdict::Denied(_))
    };
    while !is_denied() {
        assert!(
            waited.elapsed() < Duration::from_secs(10),
            "the published revocations do not arrive"
        );
        thread::sleep(Duration::from_millis(10));
    }
    let expired = (EXPIRING + sent).saturating_sub(revocations.entries() as u64);
    report(&periods, sent, expired);
    drop(exporter);
}

/// A clock that is one hour ahead, so that entries can be more than a day old.
#[derive(Debug)]
struct Later(SystemClock);

impl Clock for Later {
    fn now(&self) -> Moment {
        let now = self.0.now();
        Moment { monotonic: now.monotonic + Duration::from_secs(60 * 60), ..now }
    }
}

/// Adds entries that are more than a day old and expire a minute after the start.
fn fill_with_old(revocations: &RevocationsWriter) {
    let (ring, now) = (KeyRing::insecure_accept_unsigned(), revocations.now());
    let ago = revocations.options().memory + Duration::from_secs(60);
    for n in 0..EXPIRING {
        let sid = format!("old-{n}");
        let fields: [(&[u8], &[u8]); 1] = [(b"sid", sid.as_bytes())];
        let event = ring.verify(&Message::new(Stream::SessionsRevoke, &fields)).expect("a message");
        revocations.apply(&event, now.earlier_by(ago));
    }
}

/// Storm and quiet alternate, with quiet first and last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Quiet,
    Storm,
}

/// Returns the phase at this time after the start, or `None` at the end.
fn phase(at: Duration, storm: u64) -> Option<Phase> {
    let (quiet, storm) = (Duration::from_secs(storm) / 2, Duration::from_secs(storm));
    let turn = quiet + storm;
    let turns = at.as_nanos() / turn.as_nanos().max(1);
    let within = Duration::from_nanos((at.as_nanos() % turn.as_nanos().max(1)) as u64);
    match turns {
        turns if turns < STORMS as u128 && within >= quiet => Some(Phase::Storm),
        turns if turns < STORMS as u128 || within < quiet => {
            (turns <= STORMS as u128).then_some(Phase::Quiet)
        }
        _ => None,
    }
}

/// Returns the id that message `n` revokes.
fn sid(n: u64) -> String {
    format!("0198c0de-0002-7000-8000-{n:012x}")
}

/// Publishes at an even pace during storms.
fn publish(server: &RedisServer, key: &Key, storm: u64, published: &AtomicU64) {
    let mut raw = RespSocket::connect(server.port());
    let (start, mut n) = (Instant::now(), 0);
    let mut due = Duration::ZERO;
    while let Some(now) = phase(start.elapsed(), storm) {
        if now == Phase::Quiet {
            thread::sleep(Duration::from_millis(1));
            due = start.elapsed();
            continue;
        }
        thread::sleep(due.saturating_sub(start.elapsed()));
        for _ in 0..A_TICK {
            let mut fields: Vec<(String, String)> = [
                ("zone_id", ZONE.to_owned()),
                ("outbox_id", format!("0198c0de-0001-7000-8000-{n:012x}")),
                ("session_id", sid(n)),
                ("reason", "operator".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
            sign(key, Stream::SessionsRevoke, &mut fields);
            let mut parts: Vec<&[u8]> = vec![b"XADD", b"caracal.sessions.revoke", b"*"];
            fields.iter().for_each(|(name, value)| {
                parts.extend([name.as_bytes(), value.as_bytes()]);
            });
            raw.push(&parts);
            n += 1;
        }
        raw.send();
        (0..A_TICK).for_each(|_| raw.skip(&mut |_| {}));
        published.store(n, Ordering::Relaxed);
        due += Duration::from_secs(1) * A_TICK as u32 / A_SECOND as u32;
    }
}

/// Times of requests in one phase, in microseconds.
struct Period {
    phase: Phase,
    times: Vec<f64>,
    denied: usize,
}

/// Sends requests at an even pace until the last phase ends.
fn requests(address: SocketAddr, published: &AtomicU64, storm: u64) -> Vec<Period> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let start = Instant::now();
    let all = runtime.block_on(async {
        let connections =
            (0..CONNECTIONS).map(|at| connection(address, at, published, start, storm));
        futures_util::future::join_all(connections).await
    });
    // The due time of a request determines its period.
    let turn = Duration::from_secs(storm) / 2;
    let mut periods: Vec<Period> = Vec::new();
    let mut timed: Vec<_> = all.into_iter().flatten().collect();
    timed.sort_by_key(|request| request.due);
    let (mut last, mut began) = (None, Duration::ZERO);
    for TimedRequest { due, micros, denied } in timed {
        let Some(now) = phase(due, storm) else { continue };
        if last != Some(now) {
            (last, began) = (Some(now), due);
            periods.push(Period { phase: now, times: Vec::new(), denied: 0 });
        }
        // Skip the first moments of a period.
        if due - began < turn / 20 {
            continue;
        }
        if let Some(period) = periods.last_mut() {
            period.times.push(micros);
            period.denied += usize::from(denied);
        }
    }
    periods
}

struct TimedRequest {
    due: Duration,
    micros: f64,
    denied: bool,
}

async fn connection(
    address: SocketAddr,
    at: u64,
    published: &AtomicU64,
    start: Instant,
    storm: u64,
) -> Vec<TimedRequest> {
    let mut stream = TcpStream::connect(address).await.expect("the server answers");
    stream.set_nodelay(true).expect("a socket");
    let (mut all, mut answer) = (Vec::new(), vec![0; 4_096]);
    let every = Duration::from_secs(1) * CONNECTIONS as u32 / REQUESTS as u32;
    let mut due = every * at as u32 / CONNECTIONS as u32;
    let mut n = at;
    while phase(due, storm).is_some() {
        tokio::time::sleep_until((start + due).into()).await;
        n += CONNECTIONS;
        // A session published a moment ago, or one that is never revoked.
        let known = published.load(Ordering::Relaxed).saturating_sub(A_SECOND / 10);
        let revoked = n.is_multiple_of(HITS) && known > 0;
        let id = if revoked { sid(n % known) } else { format!("good-{n}") };
        let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-sid: {id}\r\n\r\n");
        // Not from the due time: the client's timer has a resolution of milliseconds.
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let status = read_answer(&mut stream, &mut answer).await;
        let micros = begun.elapsed().as_secs_f64() * 1e6;
        assert_eq!(status, if revoked { 401 } else { 200 }, "{id}");
        all.push(TimedRequest { due, micros, denied: revoked });
        due += every;
    }
    all
}

/// Reads one response to its end, and returns its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> u16 {
    let mut len = 0;
    loop {
        let read = stream.read(&mut buffer[len..]).await.expect("the server answers");
        assert!(read > 0, "the server closed the connection");
        len += read;
        let text = String::from_utf8_lossy(&buffer[..len]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        if body.len() >= length.unwrap_or(0_usize) {
            return head[9..12].parse().expect("a status");
        }
    }
}

async fn serve(revocations: &Revocations) -> SocketAddr {
    let app = Router::new()
        .route("/", get(async || "Hello, World!"))
        .layer(GatewayLayer::new(revocations.clone()))
        .layer(MapRequestLayer::new(|mut request: axum::extract::Request| {
            let sid = request.headers().get("x-sid").and_then(|sid| sid.to_str().ok());
            let mut claims = tokens::claims(sid.unwrap_or("nobody"));
            claims.root_sid = Some("root-1".into());
            claims.agent_session_id = Some("session-1".into());
            claims.zone_id = Some(ZONE.into());
            request.extensions_mut().insert(claims);
            request
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn settings(server: &RedisServer, key: &Key) -> Settings {
    let url = format!("redis://127.0.0.1:{}", server.port());
    let lookup = |name: &str| match name {
        "REDIS_URL" => Some(url.clone()),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => None,
    };
    Settings::from_lookup(lookup).expect("settings").with_keys(KeyRing::new(key.clone()))
}

fn report(periods: &[Period], published: u64, expired: u64) {
    let of = |phase| periods.iter().filter(move |period| period.phase == phase);
    let each = |phase, share: f64| -> Vec<f64> {
        of(phase).map(|period| quantile(&period.times, share)).collect()
    };
    let all =
        |phase| -> Vec<f64> { of(phase).flat_map(|period| period.times.iter().copied()).collect() };
    let (quiet, storm) = (all(Phase::Quiet), all(Phase::Storm));
    let denied: usize = periods.iter().map(|period| period.denied).sum();
    let mut figures = Figures::of("storm");
    println!(
        "\n{published} revocations at {A_SECOND} a second, {denied} requests denied, {expired} entries expired"
    );
    figures::head("requests, period by period", "µs");
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        row(&format!("{name} in quiet"), &each(Phase::Quiet, share));
        row(&format!("{name} in the storm"), &each(Phase::Storm, share));
        let [quiet, storm] = [&quiet, &storm].map(|times| quantile(times, share));
        println!(
            "  {name} over all: quiet {quiet:.0}, storm {storm:.0}, {:.2} times",
            storm / quiet
        );
        figures.add_with_floor(
            &format!("a request in the storm, {name}"),
            &[storm],
            "µs",
            &[quiet],
        );
    }
    println!("  the aim: a p99 of at most {AIM} times");
    figures.one("revocations published", published as f64, "messages");
    figures.one("entries expired meanwhile", expired as f64, "entries");
    figures.write();
}
