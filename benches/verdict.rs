//! Cost of a verdict, compared with the structures in which services keep revocations today. `cargo
//! bench --bench verdict` takes less than a minute and writes `target/figures/verdict.json`.

#[path = "verdict/layer.rs"]
mod layer;
#[path = "verdict/structures.rs"]
mod structures;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use caracal_revocation::Revocations;
use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_test_support::figures::{measuring, median, quantile};
use caracal_test_support::tokens::{self, id};
use moka::sync::Cache;
use serde_json::{Value, json};
use structures::{Locked, Moka, Ours, OursKept, Structure, Token};

const ENTRIES: [u64; 3] = [0, 1_000, 1_000_000];
/// The number of tokens, each checked once per pass. It is so large that no look-up finds data of
/// an earlier one in the processor's caches.
const TOKENS: u64 = 65_536;
/// Tokens of busy agents: they are checked again while they are still in the caches.
const BUSY: usize = 1_024;
/// Passes per cell, in which the structures take turns.
const PASSES: usize = 8;
/// Checks in one sample. Their tokens are read just before, as a service does.
const SAMPLE: usize = 64;
const WRITES_A_SECOND: f64 = 10_000.0;
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// The first number of the ids that are inserted while tokens are checked.
const WRITTEN: u64 = 1 << 41;

fn main() {
    // `cargo test --benches` only checks that it starts.
    if !measuring() {
        return;
    }
    let mut figures = Vec::new();
    println!(
        "ns a check of four anchors: the median of {SAMPLE}, and p99.9. The tokens of `miss` and"
    );
    println!("`hit` come once in {TOKENS}, those of `again` once in {BUSY}");
    print!("{:<27}{:>8}{:>7}", "structure", "entries", "writer");
    for column in [
        "miss",
        "p99.9",
        "again",
        "p99.9",
        "hit",
        "p99.9",
        "miss/kept",
        "miss/ours",
        "again/kept",
        "again/ours",
        "hit/ours",
        "2 threads",
    ] {
        print!("{column:>11}");
    }
    println!();
    for entries in ENTRIES {
        let kept = RevocationsWriter::new(Options::default());
        let reader = kept.reader();
        let contenders = contenders(entries, kept);
        let tokens = [0, entries].map(|revoked| kept_tokens(&reader, revoked));
        for writing in [false, true] {
            eprintln!("measuring {entries} entries, writer {writing}");
            let cells = measure_all(&contenders, &tokens, entries, writing);
            report(&contenders, &cells, entries, writing, &mut figures);
        }
        let bytes = contenders[0].bytes() as f64 / entries.max(1) as f64;
        if entries > 1_000 {
            println!("ours takes {bytes:.1} bytes an entry");
            figures.push(json!({
                "name": format!("memory, {entries} entries"), "value": bytes, "unit": "bytes an entry",
                "peer": null, "floor": null, "ratio": null,
            }));
        }
    }
    println!("\nns a request (median), building it not counted");
    println!("{:<30}{:>9}{:>12}{:>9}{:>12}", "service", "entries", "admitted", "denied", "added");
    for entries in ENTRIES {
        eprintln!("measuring the layer at {entries} entries");
        layer::measure(entries, &mut figures);
    }
    std::fs::create_dir_all("target/figures").unwrap();
    let text = serde_json::to_string_pretty(&figures).unwrap();
    std::fs::write("target/figures/verdict.json", text + "\n").unwrap();
}

const STRUCTURES: usize = 5;
/// Index of our variant to compare with: a structure that reads a clock is compared with ours that
/// does.
const OURS: [usize; STRUCTURES] = [1, 1, 1, 1, 2];
const KEPT: usize = 0;

/// Returns the filled structures; the first three are this project's.
fn contenders(entries: u64, kept: RevocationsWriter) -> [Box<dyn Structure>; STRUCTURES] {
    eprintln!("filling the structures with {entries} entries");
    let ids: Vec<_> = (0..entries).map(id).collect();
    let moka = Moka(Cache::builder().time_to_live(MEMORY).build());
    let all: [Box<dyn Structure>; STRUCTURES] = [
        Box::new(OursKept(kept)),
        Box::new(Ours::new(false)),
        Box::new(Ours::new(true)),
        Box::<Locked>::default(),
        Box::new(moka),
    ];
    all.iter().for_each(|structure| structure.insert(&ids));
    all
}

/// Samples of one structure, in ns per check.
#[derive(Default)]
struct Cell {
    miss: Vec<f64>,
    again: Vec<f64>,
    hit: Vec<f64>,
    /// Misses while another thread checks too.
    shared: Vec<f64>,
}

fn measure_all(
    contenders: &[Box<dyn Structure>; STRUCTURES],
    [unknown, revoked]: &[Vec<Token>; 2],
    entries: u64,
    writing: bool,
) -> [Cell; STRUCTURES] {
    let mut cells: [Cell; STRUCTURES] = Default::default();
    for pass in 0..PASSES {
        for (structure, cell) in contenders.iter().zip(&mut cells) {
            let (structure, ended) = (&**structure, &AtomicBool::new(false));
            structure.prepare();
            thread::scope(|scope| {
                if writing {
                    let from = entries + pass as u64 * 10_000_000;
                    scope.spawn(move || write(structure, from, ended));
                    thread::sleep(Duration::from_millis(5));
                }
                cell.miss.extend(measure(structure, unknown, 0));
                let busy = &unknown[..BUSY];
                measure(structure, busy, 0);
                (0..16).for_each(|_| cell.again.extend(measure(structure, busy, 0)));
                if entries > 0 {
                    cell.hit.extend(measure(structure, revoked, SAMPLE));
                }
                let (one, other) = unknown.split_at(unknown.len() / 2);
                let concurrent = scope.spawn(|| measure(structure, one, 0));
                cell.shared.extend(measure(structure, other, 0));
                cell.shared.extend(concurrent.join().unwrap());
                ended.store(true, Ordering::Relaxed);
            });
        }
    }
    cells
}

/// Checks each token once, in samples with this many denials each.
fn measure(structure: &dyn Structure, tokens: &[Token], denied: usize) -> Vec<f64> {
    let sample = |tokens: &[Token]| {
        tokens.iter().for_each(read);
        let start = Instant::now();
        let found = black_box(structure.denied(tokens));
        let took = nanos(start) / tokens.len() as f64;
        assert_eq!(found, denied, "{}", structure.name());
        took
    };
    tokens.chunks(SAMPLE).map(sample).collect()
}

/// Reads the token and its authority, as its verifier has just done.
fn read(token: &Token) {
    let bytes = |id: &str| id.bytes().map(u64::from).sum::<u64>();
    black_box(token.claims.anchors(true).map(|(_, id)| bytes(id)).sum::<u64>());
    black_box(token.authority.clone());
}

/// Inserts ids that no token has, one at a time, at an even pace.
fn write(structure: &dyn Structure, from: u64, ended: &AtomicBool) {
    let (start, mut written) = (Instant::now(), 0);
    while !ended.load(Ordering::Relaxed) {
        while (written as f64) < start.elapsed().as_secs_f64() * WRITES_A_SECOND {
            structure.insert(&[id(WRITTEN + from + written)]);
            written += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Compares each structure with the first variant, and with the variant in [`OURS`].
fn report(
    contenders: &[Box<dyn Structure>; STRUCTURES],
    cells: &[Cell; STRUCTURES],
    entries: u64,
    writing: bool,
    figures: &mut Vec<Value>,
) {
    let writer = if writing { "busy" } else { "none" };
    for (at, (structure, cell)) in contenders.iter().zip(cells).enumerate() {
        let (kept, ours) = (&cells[KEPT], &cells[OURS[at]]);
        let ratio = |own: &[f64], ours: &[f64]| median(own) / median(ours);
        // Checks of both threads in the median time of one.
        let threads = 2.0 * median(&cell.miss) / median(&cell.shared);
        let columns = [
            median(&cell.miss),
            quantile(&cell.miss, 0.999),
            median(&cell.again),
            quantile(&cell.again, 0.999),
            median(&cell.hit),
            quantile(&cell.hit, 0.999),
            ratio(&cell.miss, &kept.miss),
            ratio(&cell.miss, &ours.miss),
            ratio(&cell.again, &kept.again),
            ratio(&cell.again, &ours.again),
            ratio(&cell.hit, &ours.hit),
            threads,
        ];
        print!("{:<27}{entries:>8}{writer:>7}", structure.name());
        columns.iter().for_each(|column| print!("{:>11}", shown(*column)));
        println!();
        let under = format!("{entries} entries, writer {writer}");
        if at < 2 {
            let which = structure.name();
            for (name, value) in [
                ("p99.9 of misses, times p50", quantile(&cell.miss, 0.999) / median(&cell.miss)),
                (
                    "p99.9 of misses that come again, times p50",
                    quantile(&cell.again, 0.999) / median(&cell.again),
                ),
                ("misses by 2 threads, times those of 1", threads),
            ] {
                figures.push(json!({
                    "name": format!("{which}: {name}, {under}"), "value": value, "unit": "times",
                    "peer": null, "floor": null, "ratio": null,
                }));
            }
        }
        if at < 3 {
            continue;
        }
        for (what, peer, ours, one) in [
            ("miss", &cell.miss, &kept.miss, KEPT),
            ("miss", &cell.miss, &ours.miss, OURS[at]),
            ("miss that comes again", &cell.again, &kept.again, KEPT),
            ("miss that comes again", &cell.again, &ours.again, OURS[at]),
            ("hit", &cell.hit, &ours.hit, OURS[at]),
        ] {
            if !peer.is_empty() {
                let (one, other) = (contenders[one].name(), structure.name());
                figures.push(json!({
                    "name": format!("{what}, {under}, {one} against {other}"),
                    "value": median(ours), "unit": "ns", "peer": median(peer), "floor": null,
                    "ratio": ratio(peer, ours),
                }));
            }
        }
    }
}

fn kept_tokens(kept: &Revocations, entries: u64) -> Vec<Token> {
    let token = |claims| Token { authority: kept.authority(&claims), claims };
    tokens::tokens(TOKENS, entries).into_iter().map(token).collect()
}

/// Formats a figure; without entries some cells are empty.
fn shown(figure: f64) -> String {
    if figure.is_nan() { "-".to_owned() } else { format!("{figure:.2}") }
}

fn nanos(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64
}
