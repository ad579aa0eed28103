//! The delay from just before a message is sent to Redis until it is applied, compared with two
//! readers that only read: a blocking socket (the floor) and a socket of tokio (the floor with a
//! runtime). `cargo bench --bench propagation` takes about two minutes and writes
//! `target/figures/propagation.json`.
//!
//! The three take turns in one run, in slices of half a second: each has its own Redis server and its
//! own thread, and is idle outside of its slices. All readers have one processor, and the servers and
//! the publisher have another. A figure is the ratio to the floor's neighbouring
//! slice, as the median and the spread over all rounds.

mod lane;
mod readers;

use std::time::Duration;

use caracal_revocation::wire::Key;
use caracal_test_support::figures::{self, Figures, quantile, row};

use lane::Lane;

const RATES: [u64; 2] = [500, 5_000];
const SLICE: Duration = Duration::from_millis(500);
/// Rounds that are measured, after some that warm up.
const ROUNDS: usize = 24;
const WARM_UP: usize = 3;

fn main() {
    // `cargo test --benches` only checks that it starts.
    if !figures::measuring() {
        return;
    }
    println!("load average before: {}", load());
    lane::separate();
    let key = Key::generate().expect("randomness");
    let mut all = Figures::of("propagation");
    for rate in RATES {
        measure(&key, rate, &mut all);
    }
    println!("\nload average after: {}", load());
    all.write();
}

fn measure(key: &Key, rate: u64, all: &mut Figures) {
    let messages = usize::try_from(rate).expect("a count") * (ROUNDS + WARM_UP) / 2;
    let lanes = [
        ("blocking socket", Lane::start(key, messages, readers::blocking)),
        ("tokio socket", Lane::start(key, messages, readers::in_tokio)),
        ("published to applied", Lane::start(key, messages, readers::follower)),
    ];
    // The delays of each lane, by round.
    let mut delays = [const { Vec::new() }; 3];
    let mut publishers = lanes.each_ref().map(|(_, lane)| lane.publisher(key));
    for round in 0..ROUNDS + WARM_UP {
        for (publisher, delays) in publishers.iter_mut().zip(&mut delays) {
            let slice = publisher.slice(rate, SLICE);
            if round >= WARM_UP {
                delays.push(slice);
            }
        }
    }
    figures::head(&format!("{rate} messages a second, each in its slices"), "µs");
    for ((name, _), delays) in lanes.iter().zip(&delays) {
        for (text, share) in [("p50", 0.5), ("p99", 0.99)] {
            let by_round: Vec<_> = delays.iter().map(|slice| quantile(slice, share)).collect();
            row(&format!("{name}, {text}"), &by_round);
            all.add(&format!("{name} at {rate}/s, {text}"), &by_round, "µs");
        }
    }
    figures::head("ratios, slice by slice", "times");
    for (name, lane, floor) in [
        ("applied against the blocking socket", 2, 0),
        ("applied against the tokio socket", 2, 1),
        ("tokio socket against the blocking socket", 1, 0),
    ] {
        for (text, share) in [("p50", 0.5), ("p99", 0.99)] {
            let ratios = delays[lane].iter().zip(&delays[floor]);
            let ratios: Vec<_> = ratios
                .map(|(ours, floor)| quantile(ours, share) / quantile(floor, share))
                .collect();
            row(&format!("{name}, {text}"), &ratios);
            all.add(&format!("{name} at {rate}/s, {text}"), &ratios, "times");
        }
    }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
