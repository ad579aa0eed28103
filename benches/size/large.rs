//! Ten million entries: a verdict, the memory, checks while entries are added and while a snapshot
//! is written, and the restoring of that snapshot. `cargo bench --bench size -- large` takes two
//! minutes and 3 GB, and writes `target/figures/size-large.json`.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use caracal_revocation::state::{Checks, Moment, Options, RevocationsWriter, Verdict};
use caracal_revocation::wire::{Key, KeyRing};
use caracal_revocation::{Claims, Follower, Revocations};
use caracal_test_support::figures::{Figures, head, median, quantile, row};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::tokens;
use tokio::runtime::{Builder, Runtime};

const MILLION: u64 = 1_000_000;
const ENTRIES: u64 = 10 * MILLION;
const TOKENS: u64 = 65_536;
/// Checks in one sample. Their tokens are read just before, as a service does.
const SAMPLE: usize = 64;
const ROUNDS: usize = 10;
const QUIET: Duration = Duration::from_secs(3);

pub(crate) fn measure() {
    let mut figures = Figures::of("size-large");
    let key = Key::generate().expect("randomness");
    eprintln!("filling a state with a million entries");
    let small = filled(MILLION);
    let checked = [tokens::tokens(TOKENS, 0), tokens::tokens(TOKENS, MILLION)];
    let before = resident();
    let large = filled(MILLION);
    let reader = large.reader();

    head("a check on four anchors, one at a time", "µs");
    let ((), quiet) = checking(&reader, &checked, || thread::sleep(QUIET));
    quiet.report("a million entries, nothing else runs", &mut figures);
    eprintln!("adding nine million entries");
    let (slowest, growing) = checking(&reader, &checked, || add(&large, MILLION, ENTRIES));
    growing.report("entries are added, up to ten million", &mut figures);
    // Without the times themselves.
    drop((quiet, growing));
    let resident = (resident() - before) / ENTRIES as f64;
    let ((), quiet) = checking(&reader, &checked, || thread::sleep(QUIET));
    quiet.report("ten million entries, nothing else runs", &mut figures);

    verdicts(&small, &large, &mut figures);
    drop(small);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("snapshot");
    let server = RedisServer::in_memory();
    let ring = KeyRing::new(key);
    let follower = || Follower::new(server.settings(&ring)).with_snapshot(&path);
    let bytes = large.bytes() as f64 / ENTRIES as f64;
    let following = runtime();
    let (written, writing) =
        checking(&reader, &checked, || write(&following, follower().with_writer(large), &path));
    head("a check on four anchors, one at a time", "µs");
    writing.report("a snapshot of ten million is written", &mut figures);
    following.shutdown_timeout(Duration::from_secs(60));
    let restored = restore(follower());

    head("ten million entries", "");
    for (name, value, unit) in [
        ("memory, as counted", bytes, "bytes an entry"),
        ("memory, growth of the process", resident, "bytes an entry"),
        ("the slowest addition", slowest.as_secs_f64() * 1e3, "ms"),
        ("a snapshot is written", written.as_secs_f64(), "s"),
        ("a snapshot is restored", restored.as_secs_f64(), "s"),
    ] {
        row(&format!("{name}, {unit}"), &[value]);
        figures.one(&format!("ten million entries: {name}"), value, unit);
    }
    figures.write();
}

fn options() -> Options {
    let mut options = Options::default();
    options.max_entries = 20_000_000;
    // No check here is about freshness.
    options.deny_after = Duration::from_secs(60 * 60);
    options
}

fn filled(entries: u64) -> RevocationsWriter {
    let revocations = RevocationsWriter::new(options());
    tokens::revoke(&revocations, &(0..entries).map(tokens::id).collect::<Vec<_>>());
    revocations.confirm(revocations.now());
    revocations
}

/// Adds the ids from `from` to `to` one at a time. Returns the longest time that one took.
fn add(revocations: &RevocationsWriter, from: u64, to: u64) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in from..to {
        let id = [tokens::id(number)];
        let start = Instant::now();
        tokens::revoke(revocations, &id);
        slowest = slowest.max(start.elapsed());
    }
    slowest
}

/// Each check's time in nanoseconds, of tokens that nothing matches and of revoked ones.
#[derive(Default)]
struct Times {
    misses: Vec<f64>,
    hits: Vec<f64>,
}

impl Times {
    fn report(&self, name: &str, figures: &mut Figures) {
        for (what, nanos) in [("nothing matches", &self.misses), ("one matches", &self.hits)] {
            let [p50, p999, most] = [0.5, 0.999, 1.0].map(|share| quantile(nanos, share) / 1e3);
            println!("  {:<56}{p50:>12.2}{p999:>12.2}{most:>12.0}", format!("{name}: {what}"));
            for (share, value) in [("p50", p50), ("p99.9", p999), ("slowest", most)] {
                figures.one(&format!("a check, {what}, {name}, {share}"), value, "µs");
            }
        }
    }
}

/// Does `work` while another thread checks tokens. The table has p50, p99.9 and the slowest.
fn checking<T>(
    reader: &Revocations,
    checked: &[Vec<Claims>; 2],
    work: impl FnOnce() -> T,
) -> (T, Times) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let checking = scope.spawn(|| check_until(&ended, reader, checked));
        // In this thread, whose heap has the earlier entries too: the allocator has one for each.
        let result = work();
        ended.store(true, Ordering::Release);
        (result, checking.join().expect("no panic"))
    })
}

fn check_until(
    ended: &AtomicBool,
    reader: &Revocations,
    [unknown, revoked]: &[Vec<Claims>; 2],
) -> Times {
    let mut times = Times::default();
    for (unknown, revoked) in unknown.iter().zip(revoked).cycle() {
        if ended.load(Ordering::Acquire) {
            break;
        }
        times.misses.push(timed(reader, unknown, false));
        times.hits.push(timed(reader, revoked, true));
        // A check in ten microseconds, so that the measurements fit into memory.
        let pause = Instant::now();
        while pause.elapsed() < Duration::from_micros(10) {
            std::hint::spin_loop();
        }
    }
    times
}

fn timed(reader: &Revocations, claims: &Claims, denied: bool) -> f64 {
    super::read(claims);
    let now = reader.now_coarse();
    let start = Instant::now();
    let is_denied = denies(reader, claims, now);
    let took = start.elapsed().as_nanos() as f64;
    assert_eq!(is_denied, denied);
    took
}

fn denies(reader: &Revocations, claims: &Claims, now: Moment) -> bool {
    let verdict = reader.decide(black_box(claims), &Checks::default(), now);
    !matches!(black_box(verdict), Verdict::Admitted(_))
}

fn verdicts(small: &RevocationsWriter, large: &RevocationsWriter, figures: &mut Figures) {
    let unknown = tokens::tokens(TOKENS, 0);
    let mut sizes = [(small, MILLION), (large, ENTRIES)]
        .map(|(state, entries)| (state, tokens::tokens(TOKENS, entries), [Vec::new(), Vec::new()]));
    for _ in 0..ROUNDS {
        for (state, revoked, [misses, hits]) in &mut sizes {
            let check = |claims: &Claims| denies(state, claims, state.now_coarse());
            misses.push(super::check(&unknown, false, check));
            hits.push(super::check(revoked, true, check));
        }
    }
    head(&format!("a verdict on four anchors, median of {SAMPLE}"), "ns");
    let [(.., [small_misses, small_hits]), (.., [misses, hits])] = &sizes;
    for (what, small, large) in
        [("nothing matches", small_misses, misses), ("one matches", small_hits, hits)]
    {
        row(&format!("{what}, a million entries"), small);
        row(&format!("{what}, ten million entries"), large);
        let ratios: Vec<_> = large.iter().zip(small).map(|(large, small)| large / small).collect();
        row(&format!("{what}, ten million against one, times"), &ratios);
        figures.add_with_floor(&format!("a verdict, {what}, ten million"), large, "ns", small);
        println!("  {:<56}{:>12.2}", "ratio of the medians", median(large) / median(small));
    }
}

/// Follows with this state until the snapshot is written. Returns the time from the first moment at
/// which it can be written.
fn write(runtime: &Runtime, follower: Follower, path: &Path) -> Duration {
    let revocations = follower.revocations();
    runtime.spawn(follower.run(std::future::pending()));
    runtime.block_on(revocations.ready());
    let start = Instant::now();
    while !path.exists() {
        thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

fn restore(follower: Follower) -> Duration {
    let runtime = runtime();
    let follower = follower.with_writer(RevocationsWriter::new(options()));
    let _in_runtime = runtime.enter();
    let start = Instant::now();
    let revocations = follower.spawn();
    let took = start.elapsed();
    assert_eq!(revocations.entries() as u64, ENTRIES, "the snapshot is restored");
    took
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// Returns the resident memory of this process, in bytes.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4_096.0
}
