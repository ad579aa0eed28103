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

#[path = "readers/board.rs"]
mod board;
#[path = "readers/load.rs"]
mod load;
#[path = "readers/paced.rs"]
mod paced;
#[path = "readers/recorder.rs"]
mod recorder;
#[path = "readers/running.rs"]
mod running;
#[path = "readers/tail.rs"]
mod tail;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use board::Board;
use caracal_revocation::wire::Stream;
use caracal_revocation::{Follower, Settings};
use caracal_test_support::figures::{self, Figures, shown};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;
use load::{BURST, Load};
use recorder::Script;
use tokio::runtime::{Builder, Runtime};

const COUNTS: [usize; 5] = [1, 10, 100, 300, 1_000];
const IDLE: Duration = Duration::from_secs(3);
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
