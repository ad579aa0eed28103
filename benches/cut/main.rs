//! Time to cut requests that already run, and the cost of the guard while nothing is revoked.
//! `cargo bench --bench cut` takes about half a minute and writes `target/figures/cut.json`.
//!
//! 1. A short request through the layer, with and without its guard.
//! 2. The memory of a guarded stream, by the growth of the process; and the time of its entry into
//!    the registry, next to 100,000 others.
//! 3. One stream over TCP among 100,000 idle ones: from the call that applies its revocation to the
//!    moment at which its client sees the end.
//! 4. 10,000 streams over TCP cut at once, and the effect on other requests. `-- at-once` runs only
//!    this part.

mod http2;
mod idle;
mod streams;

use caracal_revocation::Claims;
use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::wire::{KeyRing, Message, Stream};
use caracal_test_support::figures::{load_average, measuring};
use caracal_test_support::tokens;
use serde_json::{Value, json};
use tokio::runtime::Builder;

/// The number of idle streams next to which one is measured.
const IDLE: usize = 100_000;

fn main() {
    // Only `cargo bench` measures.
    if !measuring() {
        return;
    }
    let all = !std::env::args().any(|argument| argument == "at-once");
    println!("load average before the run: {}", load_average());
    let mut figures = Vec::new();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if all {
        idle::short_requests(&mut figures);
        idle::memory(&mut figures);
        idle::entry(&mut figures);
        streams::one_among_many(&runtime, &mut figures);
    }
    streams::many_at_once(&runtime, &mut figures);
    println!("load average after it: {}", load_average());
    if all {
        std::fs::create_dir_all("target/figures").unwrap();
        let text = serde_json::to_string_pretty(&figures).unwrap();
        std::fs::write("target/figures/cut.json", text + "\n").unwrap();
    }
}

fn fresh() -> RevocationsWriter {
    let revocations = RevocationsWriter::new(Options::default());
    revocations.confirm(revocations.now());
    revocations
}

fn revoke(revocations: &RevocationsWriter, anchor: &str, id: &str) {
    let fields: [(&[u8], &[u8]); 1] = [(anchor.as_bytes(), id.as_bytes())];
    let message = Message::new(Stream::SessionsRevoke, &fields);
    let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
    revocations.apply(&event, revocations.now());
}

/// Returns claims with four anchors and a zone; only `root` and the zone are shared.
fn claims(n: usize) -> Claims {
    let id = |kind: u32| Box::from(format!("{kind:08x}-0000-4000-8000-{n:012x}"));
    let mut claims = tokens::claims(&id(1));
    claims.root_sid = Some("00000000-0000-4000-8000-000000000000".into());
    claims.agent_session_id = Some(id(2));
    claims.delegation_edge_id = Some(id(3));
    claims.zone_id = Some("00000000-0000-4000-8000-0000000000ff".into());
    claims
}

fn figure(name: &str, value: f64, unit: &str, floor: Option<f64>) -> Value {
    let ratio = floor.map(|floor| value / floor);
    json!({ "name": name, "value": value, "unit": unit, "peer": null, "floor": floor, "ratio": ratio })
}
