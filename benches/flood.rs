//! Delay of a valid revocation behind a flood of forged messages, and the cost of the flood.
//!
//! `cargo bench --bench flood` takes about a minute and writes `target/figures/flood.json`.
//! `FLOOD=100000` makes it shorter. It starts its own redis-server.

use std::thread;
use std::time::{Duration, Instant};

use caracal_revocation::state::{Checks, Options, RevocationsWriter, Verdict};
use caracal_revocation::wire::{Key, KeyRing, MessageBuilder, Stream};
use caracal_revocation::{Follower, Publisher, Settings};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;
use caracal_test_support::tokens;
use serde_json::json;

const STREAM: &[u8] = Stream::SessionsRevoke.name().as_bytes();
const ROUNDS: usize = 3;

fn main() {
    let count = std::env::var("FLOOD").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let server = RedisServer::in_memory();
    let settings = settings(&server);
    forge(&server, count);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    runtime.block_on(async {
        let publisher = Publisher::connect(&settings).await.expect("a publisher");
        let real = MessageBuilder::revoke("z", "operator").session("real");
        publisher.publish(real).await.expect("the message is published");
    });

    let before = highest_resident();
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(follow(&settings));
        raw.push(read_raw(&server));
    }
    let grown = highest_resident() - before;
    let [ours, raw] = [&mut ours, &mut raw].map(|times| {
        times.sort_unstable();
        times[ROUNDS / 2].as_secs_f64()
    });
    let ratio = ours / raw;
    println!("{count} forged messages of about 300 bytes, and a real revocation behind them");
    println!("  raw socket, read and discarded    {raw:>8.2} s");
    println!("  until the revocation is in force  {ours:>8.2} s   {ratio:.2} times as long");
    println!("  peak growth of memory             {grown:>+8.1} MB");
    std::fs::create_dir_all("target/figures").expect("a folder");
    let figures = json!([
        { "name": "behind a flood, in force", "value": ours, "unit": "s",
          "floor": raw, "ratio": ratio },
        { "name": "memory that a flood takes", "value": grown, "unit": "MB" },
    ]);
    let text = serde_json::to_string_pretty(&figures).expect("figures");
    std::fs::write("target/figures/flood.json", text + "\n").expect("figures");
}

fn settings(server: &RedisServer) -> Settings {
    let url = format!("redis://127.0.0.1:{}", server.port());
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_URL" => Some(url.clone()),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => None,
    });
    let key = Key::from_hex(&"5a".repeat(32)).expect("a key");
    settings.expect("settings").with_keys(KeyRing::new(key))
}

/// Adds messages as a producer writes them: every other one with an invalid signature, the others
/// without one.
fn forge(server: &RedisServer, count: usize) {
    let mut raw = RespSocket::connect(server.port());
    let signature = "0".repeat(64);
    for batch in 0..count.div_ceil(1_000) {
        let numbers = (batch * 1_000)..((batch + 1) * 1_000).min(count);
        for n in numbers.clone() {
            let id = format!("01989e0b-1000-7000-8000-{n:012}");
            let id = id.as_bytes();
            let mut command: Vec<&[u8]> = vec![b"XADD", STREAM, b"*", b"zone_id", b"zone-1"];
            command.extend([b"session_id".as_slice(), id, b"agent_session_id", id]);
            command.extend([b"reason".as_slice(), b"operator", b"outbox_id", id]);
            let name: &[u8] = if n % 2 == 0 { b"_sig" } else { b"note" };
            command.extend([name, signature.as_bytes()]);
            raw.push(&command);
        }
        raw.send();
        numbers.for_each(|_| raw.skip(&mut |_| {}));
    }
}

/// Reads and discards the same entries, with the same batch size.
fn read_raw(server: &RedisServer) -> Duration {
    let start = Instant::now();
    let mut raw = RespSocket::connect(server.port());
    let mut cursor = b"0-0".to_vec();
    loop {
        raw.push(&[b"XREAD", b"COUNT", b"1000", b"STREAMS", STREAM, &cursor]);
        raw.send();
        let mut read = 0;
        raw.skip(&mut |text| {
            if text.len() < 20 && text.contains(&b'-') && text[0].is_ascii_digit() {
                read += 1;
                cursor.clear();
                cursor.extend_from_slice(text);
            }
        });
        if read == 0 {
            return start.elapsed();
        }
    }
}

/// Starts a follower, and returns the time until the revocation is in force.
fn follow(settings: &Settings) -> Duration {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    let start = Instant::now();
    let writer = RevocationsWriter::new(Options::default());
    let follower = Follower::new(settings.clone()).with_writer(writer);
    let revocations = follower.revocations();
    thread::scope(|scope| {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        scope.spawn(move || runtime.block_on(follower.run(async { stopped.await.unwrap_or(()) })));
        let real = tokens::claims("real");
        let is_denied = || {
            let verdict = revocations.decide(&real, &Checks::default(), revocations.now());
            matches!(verdict, Verdict::Denied(_))
        };
        while !is_denied() {
            thread::sleep(Duration::from_millis(1));
        }
        let took = start.elapsed();
        assert_eq!(revocations.entries(), 1);
        stop.send(()).expect("the follower runs");
        took
    })
}

/// Returns the peak resident memory of this process, in MB.
fn highest_resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1_024.0
}
