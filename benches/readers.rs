//! The number of readers that one Redis can serve. `cargo bench --bench readers` takes about two
//! minutes and writes `target/figures/readers.json`.
//!
//! First the benchmark records the traffic of a real follower, on a primary and on a replica. Then
//! 1 to 1,000 raw sockets send the same commands with their own cursors. It measures the server's
//! processor time, output and memory while nothing is published, at an even pace, and in a burst.
//! Small numbers of real followers are measured in the same way, to validate the sockets.
//!
//! `-- paced` measures the processor time at 100 and 1,000 messages a second alone: of real
//! followers, of their commands, of the commands of an earlier follower, and of readers that only
//! read.

#[path = "readers/paced.rs"]
mod paced;
#[path = "readers/recorder.rs"]
mod recorder;
#[path = "readers/tail.rs"]
mod tail;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use caracal_revocation::wire::Stream;
use caracal_revocation::{Follower, Revocations, Settings};
use caracal_test_support::figures::{self, Figures, quantile, shown};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;
use recorder::Script;
use tail::Tail;
use tokio::runtime::{Builder, Runtime};

const COUNTS: [usize; 5] = [1, 10, 100, 300, 1_000];
const IDLE: Duration = Duration::from_secs(3);
const PACED: Duration = Duration::from_secs(3);
/// Deliveries (messages times readers) a second at the even pace, and the limits of the message
/// rate.
const DELIVERIES: usize = 3_000;
const SLOWEST: usize = 4;
const FASTEST: usize = 50;
const BURST: u64 = 500;
const ZONE: &str = "0198c0de-0000-7000-8000-00000000000a";
const COUNTED: Stream = Stream::PolicyInvalidate;

fn main() {
    if !figures::measuring() {
        return;
    }
    if std::env::args().any(|argument| argument == "paced") {
        return paced::measure();
    }
    let (primary, mut figures) = (RedisServer::in_memory(), Figures::of("readers"));
    let replica = RedisServer::replica_of(&primary);
    let [primary, replica] = [primary, replica].map(Measured::new);
    let board = Arc::new(Board::new());
    provision(&primary.server, &board);
    println!(
        "without readers the primary takes {} µs of processor time a second, its replica {}: left out below",
        shown(primary.alone * 1e6),
        shown(replica.alone * 1e6)
    );
    println!(
        "{:<30}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>11}{:>11}{:>10}",
        "",
        "readers",
        "idle µs/s",
        "idle B/s",
        "µs/msg",
        "B/msg",
        "p50 µs",
        "p99 µs",
        "burst/s",
        "µs/deliv.",
        "KiB each"
    );
    for (name, server) in [("on the primary", &primary), ("on a replica", &replica)] {
        eprintln!("recording the commands of a follower {name}");
        let script = Arc::new(record_script(&server.server, &primary.server, &board));
        let mut position = (script.full.read().1, board.published.load(Ordering::Acquire));
        for readers in COUNTS {
            eprintln!("{readers} raw sockets {name}");
            let load = Load::tails(server, &script, &board, readers, &mut position);
            load.report(&format!("raw sockets {name}"), &mut figures);
        }
        println!("  the commands of a full read: {}", script.full);
    }
    for readers in [1, 10] {
        eprintln!("{readers} real followers on the primary");
        let load = Load::followers(&primary, None, &board, readers);
        load.report("real followers on the primary", &mut figures);
    }
    eprintln!("10 real followers on a replica, which ask its primary too");
    let load = Load::followers(&replica, Some(&primary), &board, 10);
    load.report("real followers on a replica", &mut figures);
    println!(
        "  of which for questions to the primary: {} µs/s a reader idle, {} µs a message and reader",
        shown(load.primary_idle),
        shown(load.primary_message)
    );
    figures.one("primary's time for a follower of its replica, idle", load.primary_idle, "µs/s");
    figures.one(
        "primary's time for a message and follower of its replica",
        load.primary_message,
        "µs",
    );
    println!(
        "\nµs/msg: the server's processor time for a message and reader, at an even pace; µs/deliv.: in a\n\
         burst of {BURST} messages. p50, p99: from just before a message is sent to Redis until it is read."
    );
    figures.write();
}

/// The time at which each message of the counted stream was sent, since the start.
struct Board {
    start: Instant,
    sent: Vec<AtomicU64>,
    published: AtomicU64,
}

impl Board {
    fn new() -> Self {
        let sent = (0..100_000).map(|_| AtomicU64::new(0)).collect();
        Self { start: Instant::now(), sent, published: AtomicU64::new(0) }
    }

    /// Returns microseconds since message `number` was sent.
    fn since(&self, number: u64) -> f64 {
        let sent = self.sent[number as usize].load(Ordering::Acquire);
        (self.start.elapsed().as_nanos() as u64).saturating_sub(sent) as f64 / 1e3
    }

    /// Publishes `count` messages at once.
    fn publish(&self, raw: &mut RespSocket, count: u64) {
        let first = self.published.load(Ordering::Acquire);
        for number in first..first + count {
            // Like a message of Caracal's API: about 250 bytes with the signature.
            let id = format!("0198c0de-0001-7000-8000-{number:012x}");
            raw.push(&[
                b"XADD",
                COUNTED.name().as_bytes(),
                b"*",
                b"zone_id",
                ZONE.as_bytes(),
                b"outbox_id",
                id.as_bytes(),
                b"_sig",
                &[b'a'; 64],
            ]);
            let now = self.start.elapsed().as_nanos() as u64;
            self.sent[number as usize].store(now, Ordering::Release);
        }
        self.published.store(first + count, Ordering::Release);
        raw.send();
        (0..count).for_each(|_| raw.skip(&mut |_| {}));
    }
}

/// A server, and its processor share without readers.
struct Measured {
    server: RedisServer,
    alone: f64,
}

impl Measured {
    fn new(server: RedisServer) -> Self {
        let (start, busy) = (Instant::now(), server.processor_time());
        thread::sleep(IDLE);
        let alone = (server.processor_time() - busy).as_secs_f64() / start.elapsed().as_secs_f64();
        Self { server, alone }
    }

    fn begin(&self) -> (Instant, Duration) {
        (Instant::now(), self.server.processor_time())
    }

    /// Returns microseconds of processor time since `begin`, beyond the share without readers.
    fn took(&self, (start, busy): (Instant, Duration)) -> f64 {
        let took = (self.server.processor_time() - busy).as_secs_f64();
        (took - self.alone * start.elapsed().as_secs_f64()).max(0.0) * 1e6
    }
}

/// Adds one message to each stream, so that each stream exists.
fn provision(primary: &RedisServer, board: &Board) {
    let mut raw = RespSocket::connect(primary.port());
    let messages: [(Stream, &[&[u8]]); 4] = [
        (Stream::SessionsRevoke, &[b"session_id", b"ar-1"]),
        (Stream::KeysInvalidate, &[]),
        (Stream::DelegationsInvalidate, &[b"epoch", b"1", b"event", b"edge_create"]),
        (Stream::AgentsLifecycle, &[b"event", b"spawn", b"agent_session_id", b"gs-1"]),
    ];
    for (stream, fields) in messages {
        let mut parts = vec![&b"XADD"[..], stream.name().as_bytes(), b"*", b"zone_id", b"z-1"];
        parts.extend(fields);
        raw.push(&parts);
        raw.send();
        raw.skip(&mut |_| {});
    }
    board.publish(&mut raw, 1);
}

/// Records the commands of a follower while it waits, and after it has read messages.
fn record_script(server: &RedisServer, primary: &RedisServer, board: &Board) -> Script {
    let (port, recording) = recorder::listen(server.port());
    let is_replica = server.port() != primary.port();
    let runtime = runtime();
    let follower = Follower::new(settings(port, is_replica.then_some(primary.port())));
    let revocations = follower.revocations();
    let following = runtime.spawn(follower.run(std::future::pending()));
    runtime.block_on(revocations.ready());
    let mut raw = RespSocket::connect(primary.port());
    for _ in 0..20 {
        board.publish(&mut raw, 1);
        thread::sleep(Duration::from_millis(100));
    }
    // Long enough for the follower to read again from the last cursors.
    thread::sleep(Duration::from_millis(2_500));
    following.abort();
    recording.script()
}

fn settings(port: u16, primary: Option<u16>) -> Settings {
    Settings::from_lookup(|name| setting(name, port, primary)).expect("settings")
}

/// Returns the settings of a follower that reads at most once in this number of milliseconds.
fn spaced_settings(port: u16, interval: &str) -> Settings {
    let lookup = |name: &str| match name {
        "REVOCATION_READ_INTERVAL_MS" => Some(interval.to_owned()),
        name => setting(name, port, None),
    };
    Settings::from_lookup(lookup).expect("settings")
}

fn setting(name: &str, port: u16, primary: Option<u16>) -> Option<String> {
    match name {
        "REDIS_URL" => Some(format!("redis://127.0.0.1:{port}")),
        "REDIS_PRIMARY_URL" => primary.map(|port| format!("redis://127.0.0.1:{port}")),
        // Without a key all messages are accepted: verification is not measured here.
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => None,
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// Shared between readers and the measurement.
#[derive(Default)]
struct Readers {
    times: Mutex<Vec<f64>>,
    /// Messages received by all readers.
    received: AtomicU64,
    over: AtomicBool,
}

/// The load of a number of readers on a server.
struct Load {
    readers: usize,
    /// Microseconds of the server's processor per reader and second while nothing is published,
    /// beyond its share without readers.
    idle: f64,
    /// Bytes sent in that time, per reader and second.
    idle_bytes: f64,
    /// Microseconds per message and reader at an even pace.
    message: f64,
    message_bytes: f64,
    times: Vec<f64>,
    /// Messages a second, times readers, in a burst.
    burst: f64,
    burst_message: f64,
    memory: f64,
    primary_idle: f64,
    primary_message: f64,
}

impl Load {
    fn tails(
        measured: &Measured,
        script: &Arc<Script>,
        board: &Arc<Board>,
        readers: usize,
        position: &mut (Vec<Vec<u8>>, u64),
    ) -> Self {
        let before = measured.server.number("memory", "used_memory");
        Readers::tails(&measured.server, script, board, readers, position, |shared| {
            Self::measure(measured, None, board, readers, shared, before)
        })
    }

    fn followers(
        measured: &Measured,
        primary: Option<&Measured>,
        board: &Arc<Board>,
        readers: usize,
    ) -> Self {
        let before = measured.server.number("memory", "used_memory");
        let primary_port = primary.map(|primary| primary.server.port());
        let settings = || settings(measured.server.port(), primary_port);
        Readers::followers(settings, board, readers, |shared| {
            Self::measure(measured, primary, board, readers, shared, before)
        })
    }

    fn measure(
        measured: &Measured,
        primary: Option<&Measured>,
        board: &Board,
        readers: usize,
        shared: &Readers,
        before: f64,
    ) -> Self {
        thread::sleep(Duration::from_millis(1_500));
        let each = readers as f64;
        let server = &measured.server;
        let memory = (server.number("memory", "used_memory") - before) / each / 1024.0;
        let publisher = if server.info("replication", "role").as_deref() == Some("master") {
            server.port()
        } else {
            server.number("replication", "master_port") as u16
        };
        let mut raw = RespSocket::connect(publisher);

        let (start, out, busy) = (Instant::now(), output(server), measured.begin());
        let primary_busy = primary.map(|primary| (primary, primary.begin()));
        thread::sleep(IDLE);
        let seconds = start.elapsed().as_secs_f64() * each;
        let idle = measured.took(busy) / seconds;
        let primary_idle = primary_busy.map_or(0.0, |(primary, busy)| primary.took(busy) / seconds);
        let idle_bytes = (output(server) - out) / seconds;

        let rate = (DELIVERIES / readers).clamp(SLOWEST, FASTEST);
        let messages = PACED.as_secs() * rate as u64;
        shared.start_over();
        let (out, busy) = (output(server), measured.begin());
        let primary_busy = primary.map(|primary| (primary, primary.begin()));
        for _ in 0..messages {
            board.publish(&mut raw, 1);
            thread::sleep(Duration::from_secs(1) / rate as u32);
        }
        shared.wait_for(messages * readers as u64);
        let deliveries = messages as f64 * each;
        let message = measured.took(busy) / deliveries;
        let primary_message =
            primary_busy.map_or(0.0, |(primary, busy)| primary.took(busy) / deliveries);
        let message_bytes = (output(server) - out) / deliveries;
        let times = shared.start_over();

        let busy = measured.begin();
        board.publish(&mut raw, BURST);
        shared.wait_for(BURST * readers as u64);
        let burst = BURST as f64 * each / busy.0.elapsed().as_secs_f64();
        let burst_message = measured.took(busy) / (BURST as f64 * each);
        Self {
            readers,
            idle,
            idle_bytes,
            message,
            message_bytes,
            times,
            burst,
            burst_message,
            memory,
            primary_idle,
            primary_message,
        }
    }

    fn report(&self, name: &str, figures: &mut Figures) {
        let [p50, p99] = [0.5, 0.99].map(|share| quantile(&self.times, share));
        print!("{name:<30}{:>8}", self.readers);
        for value in [self.idle, self.idle_bytes, self.message, self.message_bytes, p50, p99] {
            print!("{:>10}", shown(value));
        }
        println!(
            "{:>11}{:>11}{:>10}",
            shown(self.burst),
            shown(self.burst_message),
            shown(self.memory)
        );
        for (what, value, unit) in [
            ("server's time for an idle reader", self.idle, "µs/s"),
            ("output to an idle reader", self.idle_bytes, "bytes/s"),
            ("server's time for a message and reader", self.message, "µs"),
            ("output for a message and reader", self.message_bytes, "bytes"),
            ("published to read, p50", p50, "µs"),
            ("published to read, p99", p99, "µs"),
            ("a burst", self.burst, "deliveries/s"),
            ("server's time for a message and reader in a burst", self.burst_message, "µs"),
            ("server's memory for a connection", self.memory, "KiB"),
        ] {
            figures.one(&format!("{} {name}: {what}", self.readers), value, unit);
        }
    }
}

impl Readers {
    /// Runs raw sockets with these commands while `measure` runs. They begin and end at `position`.
    fn tails<T>(
        server: &RedisServer,
        script: &Arc<Script>,
        board: &Arc<Board>,
        readers: usize,
        position: &mut (Vec<Vec<u8>>, u64),
        measure: impl FnOnce(&Self) -> T,
    ) -> T {
        let (runtime, shared) = (runtime(), Arc::new(Self::default()));
        let mut tasks = Vec::new();
        for _ in 0..readers {
            let connect = Tail::connect(server.port(), Arc::clone(script), position.0.clone());
            let mut tail = runtime.block_on(connect);
            let (board, shared, first) = (Arc::clone(board), Arc::clone(&shared), position.1);
            tasks.push(runtime.spawn(async move {
                let mut seen = first;
                while !shared.over.load(Ordering::Acquire) {
                    let count = tail.turn(COUNTED.name().as_bytes()).await as u64;
                    shared.record(&board, seen, count);
                    seen += count;
                }
                (tail.cursors().to_vec(), seen)
            }));
        }
        let measured = measure(&shared);
        shared.over.store(true, Ordering::Release);
        for task in tasks {
            *position = runtime.block_on(task).expect("a tail ends");
        }
        measured
    }

    /// Runs real followers while `measure` runs.
    fn followers<T>(
        settings: impl Fn() -> Settings,
        board: &Arc<Board>,
        readers: usize,
        measure: impl FnOnce(&Self) -> T,
    ) -> T {
        let (runtime, shared) = (runtime(), Arc::new(Self::default()));
        for _ in 0..readers {
            let follower = Follower::new(settings());
            let revocations = follower.revocations();
            runtime.spawn(follower.run(std::future::pending()));
            runtime.block_on(revocations.ready());
            runtime.spawn(observe(revocations, Arc::clone(board), Arc::clone(&shared)));
        }
        let measured = measure(&shared);
        runtime.shutdown_background();
        measured
    }

    /// Records that a reader has read `count` messages, of which the first has the number `first`.
    fn record(&self, board: &Board, first: u64, count: u64) {
        if count > 0 {
            let mut times = self.times.lock().expect("no panic");
            times.extend((first..first + count).map(|number| board.since(number)));
            drop(times);
            self.received.fetch_add(count, Ordering::AcqRel);
        }
    }

    fn start_over(&self) -> Vec<f64> {
        self.received.store(0, Ordering::Release);
        std::mem::take(&mut self.times.lock().expect("no panic"))
    }

    fn wait_for(&self, messages: u64) {
        let start = Instant::now();
        while self.received.load(Ordering::Acquire) < messages {
            assert!(start.elapsed() < Duration::from_secs(60), "readers do not get everything");
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Observes the messages that a follower applies: a policy invalidation wakes its waiters.
async fn observe(revocations: Revocations, board: Arc<Board>, shared: Arc<Readers>) {
    let mut changes = revocations.policy_changes();
    let mut seen = revocations.policy(ZONE).generation;
    loop {
        let _ = tokio::time::timeout(Duration::from_millis(100), changes.changed()).await;
        let applied = revocations.policy(ZONE).generation;
        shared.record(&board, seen, applied - seen);
        seen = applied;
    }
}

fn output(server: &RedisServer) -> f64 {
    server.number("stats", "total_net_output_bytes")
}
