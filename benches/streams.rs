//! Throughput from a real Redis into the state, and the time to start, compared with a raw socket
//! that only reads. `cargo bench --bench streams` takes about a minute and writes
//! `target/figures/streams.json`. `-- drain` or `-- restart` runs one part alone and writes nothing.
//! So does `-- history`: ten million messages, which take three minutes and 4 GB.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use caracal_revocation::Follower;
use caracal_revocation::internal::sign;
use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::wire::{Key, KeyRing, Stream};
use caracal_test_support::figures::{measuring, median, quantile};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;
use serde_json::{Value, json};

const DRAINED: u64 = 500_000;
const RESTARTED: u64 = 1_000_000;
/// A long history, ten times what a state holds in the other parts.
const HISTORY: u64 = 10_000_000;
/// Rounds of draining, in which the two ways of reading alternate.
const ROUNDS: usize = 5;
const ZONE: &str = "0198c0de-0000-7000-8000-00000000000a";

fn main() {
    // `cargo test --benches` only checks that it starts.
    if !measuring() {
        return;
    }
    let key = Key::generate().expect("randomness");
    let mut figures = Vec::new();
    let parts = ["drain", "restart", "history"];
    let chosen = std::env::args().skip(1).find(|argument| parts.contains(&argument.as_str()));
    let runs = |part| chosen.as_ref().is_none_or(|chosen| chosen == part);
    if runs("drain") {
        drain(&key, DRAINED, ROUNDS, &mut figures);
    }
    if runs("restart") {
        restart(&key, &mut figures);
    }
    if chosen.as_deref() == Some("history") {
        drain(&key, HISTORY, 2, &mut figures);
    }
    if chosen.is_some() {
        return;
    }
    fs::create_dir_all("target/figures").expect("a folder");
    let text = serde_json::to_string_pretty(&figures).expect("figures");
    fs::write("target/figures/streams.json", text + "\n").expect("a file");
}

/// Measures reading, verifying and applying these messages, and only reading them.
fn drain(key: &Key, messages: u64, rounds: usize, figures: &mut Vec<Value>) {
    let server = RedisServer::in_memory();
    fill(&server, key, messages);
    let each = server.number("memory", "used_memory") / messages as f64;
    let (mut ours, mut floor, mut busy) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        eprintln!("draining {messages} messages, round {} of {rounds}", round + 1);
        floor.push(per_second(messages, read_raw(&server)));
        let (took, on_core) = follow_until_ready(&server, key, messages);
        ours.push(per_second(messages, took));
        busy.push(on_core.as_nanos() as f64 / messages as f64);
    }
    println!("\ndraining {messages} signed messages (median, worst and best of {rounds} rounds)");
    row("redis-server's memory for a message", &[each], "bytes");
    row("read, verified, applied", &ours, "messages/s");
    row("raw socket, read and discarded", &floor, "messages/s");
    row("our thread's time a message", &busy, "ns");
    let (value, floor) = (median(&ours), median(&floor));
    println!("{:<34}{:>12.2}", "of the floor", value / floor);
    figures.push(figure("draining signed messages", value, "messages/s", floor));
    figures.push(json!({
        "name": "processor time a drained message", "value": median(&busy), "unit": "ns",
    }));
}

/// Measures the time from start to ready with a million messages of history, and the part of it
/// after the last message.
fn restart(key: &Key, figures: &mut Vec<Value>) {
    let server = RedisServer::in_memory();
    fill(&server, key, RESTARTED);
    let (mut ready, mut drained, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..3 {
        eprintln!("starting with {RESTARTED} messages of history, round {} of 3", round + 1);
        let [at_drained, at_ready] = restart_once(&server, key).map(millis);
        drained.push(at_drained);
        ready.push(at_ready);
        more.push(at_ready - at_drained);
    }
    println!("\nfrom start to ready with {RESTARTED} messages of history");
    row("all applied", &drained, "ms");
    row("ready", &ready, "ms");
    row("ready after the last was applied", &more, "ms");
    figures.push(figure("ready after a restart", median(&ready), "ms", median(&drained)));
    figures.push(json!({
        "name": "ready after the last was applied", "value": median(&more), "unit": "ms",
    }));
}

/// Returns the times since the start at which the last message was applied and all of them were
/// proven complete.
fn restart_once(server: &RedisServer, key: &Key) -> [Duration; 2] {
    let start = Instant::now();
    let follower = Follower::new(server.settings(&KeyRing::new(key.clone())));
    let revocations = follower.revocations();
    let applied = revocations.clone();
    let watcher = thread::spawn(move || {
        while (applied.entries() as u64) < RESTARTED {
            thread::sleep(Duration::from_micros(200));
        }
        start.elapsed()
    });
    let ready = runtime().block_on(async {
        tokio::spawn(follower.run(std::future::pending()));
        revocations.ready().await;
        start.elapsed()
    });
    [watcher.join().expect("the watcher ends"), ready]
}

fn follow_until_ready(server: &RedisServer, key: &Key, messages: u64) -> (Duration, Duration) {
    runtime().block_on(async {
        let (start, busy) = (Instant::now(), on_core());
        let mut options = Options::default();
        options.max_entries = usize::try_from(2 * HISTORY).expect("a count");
        let follower = Follower::new(server.settings(&KeyRing::new(key.clone())))
            .with_writer(RevocationsWriter::new(options));
        let revocations = follower.spawn();
        revocations.ready().await;
        let took = (start.elapsed(), on_core() - busy);
        assert_eq!(revocations.entries() as u64, messages, "every message is applied");
        took
    })
}

fn read_raw(server: &RedisServer) -> Duration {
    let start = Instant::now();
    let mut raw = RespSocket::connect(server.port());
    let (mut read, mut cursor) = (0_u64, b"0-0".to_vec());
    loop {
        let name = Stream::SessionsRevoke.name().as_bytes();
        raw.push(&[b"XREAD", b"COUNT", b"1000", b"STREAMS", name, &cursor]);
        raw.send();
        let before = read;
        raw.skip(&mut |text| {
            if text == b"_sig" {
                read += 1;
            } else if text.len() < 20 && text.contains(&b'-') && text[0].is_ascii_digit() {
                cursor.clear();
                cursor.extend_from_slice(text);
            }
        });
        if read == before {
            return start.elapsed();
        }
    }
}

fn fill(server: &RedisServer, key: &Key, messages: u64) {
    eprintln!("filling a stream with {messages} signed messages");
    let mut raw = RespSocket::connect(server.port());
    for batch in 0..messages / 1_000 {
        for number in 0..1_000 {
            let fields = signed(key, Stream::SessionsRevoke, batch * 1_000 + number);
            add(&mut raw, Stream::SessionsRevoke, &fields);
        }
        raw.send();
        (0..1_000).for_each(|_| raw.skip(&mut |_| {}));
    }
}

fn add(raw: &mut RespSocket, stream: Stream, fields: &[(String, String)]) {
    let mut parts: Vec<&[u8]> = vec![b"XADD", stream.name().as_bytes(), b"*"];
    for (name, value) in fields {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    raw.push(&parts);
}

/// Returns a message as Caracal's API writes it: about 250 bytes.
fn signed(key: &Key, stream: Stream, number: u64) -> Vec<(String, String)> {
    let id = |kind: u64| format!("0198c0de-{kind:04x}-7000-8000-{number:012x}");
    let mut fields: Vec<(String, String)> = [("zone_id", ZONE.to_owned()), ("outbox_id", id(1))]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    if stream == Stream::SessionsRevoke {
        fields.push(("session_id".to_owned(), id(2)));
        fields.push(("reason".to_owned(), "operator".to_owned()));
    }
    sign(key, stream, &mut fields);
    fields
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Returns this thread's processor time.
fn on_core() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn figure(name: &str, value: f64, unit: &str, floor: f64) -> Value {
    json!({ "name": name, "value": value, "unit": unit, "floor": floor, "ratio": value / floor })
}

fn row(name: &str, values: &[f64], unit: &str) {
    let [low, high] = [0.0, 1.0].map(|share| quantile(values, share));
    println!("{name:<34}{:>12.0}{low:>12.0}{high:>12.0}  {unit}", median(values));
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}
