//! What a decision costs in front of a service: the guard's own reverse proxy, nginx and Envoy, each
//! with and without it, on one machine and in one run.
//!
//! `cargo bench -p caracal-guard --bench proxies` takes about six minutes and writes
//! `target/figures/proxies.json`. The lanes take turns in slices of half a second; a ratio compares
//! neighbouring slices, and the table shows its median and spread. Programs that cannot be had are
//! left out. `-- requests` or `-- streams` runs one part alone.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a bench prints and panics; it shares helpers with the tests and uses some of them"
)]

#[path = "../../tests/suite/exchange.rs"]
mod exchange;
mod lanes;
mod load;
#[path = "../../tests/suite/page.rs"]
mod page;
#[path = "../../tests/suite/program.rs"]
mod program;
#[path = "../../tests/suite/programs.rs"]
mod programs;
#[path = "../../tests/suite/proxy_process.rs"]
mod proxy_process;
mod streams;
#[path = "../../tests/suite/world.rs"]
mod world;

use std::time::Duration;

use caracal_test_support::figures::{Figures, head, measuring, quantile, row};

use lanes::{Lane, Lanes};

const SLICE: Duration = Duration::from_millis(500);
/// Rounds that are measured, after some that warm up.
const ROUNDS: usize = 20;
const WARM_UP: usize = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if !measuring() {
        return;
    }
    println!("load average before: {}", load_average());
    let parts = ["requests", "streams"];
    let chosen = std::env::args().skip(1).find(|argument| parts.contains(&argument.as_str()));
    let runs = |part: &str| chosen.as_deref().is_none_or(|chosen| chosen == part);
    let mut figures = Figures::of("proxies");
    if runs("requests") {
        let lanes = Lanes::start().await;
        for clients in [1, 16] {
            requests(&lanes.all, clients, &mut figures).await;
        }
    }
    if runs("streams") {
        streams::measure(&mut figures).await;
    }
    println!("\nload average after: {}", load_average());
    if chosen.is_none() {
        figures.write();
    }
}

/// One round's measurement of a lane.
struct Measured {
    per_second: f64,
    p50: f64,
    p99: f64,
}

async fn requests(lanes: &[Lane], clients: usize, figures: &mut Figures) {
    let mut measured: Vec<Vec<Measured>> = lanes.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS + WARM_UP {
        for (lane, measured) in lanes.iter().zip(&mut measured) {
            let slice = load::slice(lane.address, lane.request, clients, SLICE).await;
            if round >= WARM_UP {
                let [p50, p99] = [0.5, 0.99].map(|share| quantile(&slice.delays, share));
                measured.push(Measured { per_second: slice.per_second(), p50, p99 });
            }
        }
    }
    type Part = (&'static str, &'static str, fn(&Measured) -> f64);
    let parts: [Part; 3] = [
        ("requests a second", "1/s", |one| one.per_second),
        ("p50", "µs", |one| one.p50),
        ("p99", "µs", |one| one.p99),
    ];
    for (name, unit, part) in parts {
        head(&format!("{name}, {clients} clients"), unit);
        for (lane, measured) in lanes.iter().zip(&measured) {
            let rounds: Vec<_> = measured.iter().map(part).collect();
            row(lane.name, &rounds);
            figures.add(&format!("{}, {clients} clients, {name}", lane.name), &rounds, unit);
        }
    }
    let find = |name: &str| lanes.iter().position(|lane| lane.name == name);
    head(&format!("requests a second, {clients} clients: ratios"), "times");
    for (ours, peer) in lanes::RATIOS {
        let (Some(ours_at), Some(peer_at)) = (find(ours), find(peer)) else { continue };
        let pairs = measured[ours_at].iter().zip(&measured[peer_at]);
        let ratios: Vec<_> = pairs.map(|(ours, peer)| ours.per_second / peer.per_second).collect();
        let name = format!("{ours} / {peer}");
        row(&name, &ratios);
        figures.add(&format!("{name}, {clients} clients"), &ratios, "times");
    }
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
