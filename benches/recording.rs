//! Cost of recording metrics per request: the same layer, built before and after a recorder is
//! installed.
//!
//! Run it with `cargo bench --bench recording`; it writes `target/figures/recording.json`. The
//! result is the best of many batches. The two layers take turns, so that other load on the machine
//! affects both.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use caracal_revocation::gateway::GuardedRequestBody;
use caracal_revocation::metrics::Exporter;
use caracal_revocation::state::{ManualClock, Options, RevocationsWriter};
use caracal_revocation::wire::{KeyRing, Message, Stream};
use caracal_revocation::{Claims, GatewayLayer};
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Bytes;
use tower::{Layer, Service, service_fn};

const BATCH: usize = 20_000;
const ROUNDS: usize = 150;
/// Target: nanoseconds that recording may add to a request.
const AIM: f64 = 20.0;

/// Returns nanoseconds per request in one batch.
fn batch<S>(service: &mut S, request: &Request<()>) -> f64
where
    S: Service<Request<()>, Error = Infallible>,
{
    let waker = Waker::noop();
    let mut context = Context::from_waker(waker);
    let start = Instant::now();
    for _ in 0..BATCH {
        let mut copy = Request::new(());
        *copy.extensions_mut() = request.extensions().clone();
        *copy.headers_mut() = request.headers().clone();
        let mut answer = pin!(service.call(copy));
        let Poll::Ready(answer) = answer.as_mut().poll(&mut context) else {
            panic!("the service answers at once");
        };
        black_box(answer.is_ok());
    }
    start.elapsed().as_nanos() as f64 / BATCH as f64
}

fn revoke(revocations: &RevocationsWriter, sid: &str) {
    let fields: [(&[u8], &[u8]); 1] = [(b"sid", sid.as_bytes())];
    let message = Message::new(Stream::SessionsRevoke, &fields);
    let event = KeyRing::insecure_accept_unsigned().verify(&message).expect("a message");
    revocations.apply(&event, revocations.now());
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // A clock with almost no cost, which can place the revocation in the past.
    let clock = Arc::new(ManualClock::new());
    let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
    revocations.confirm(revocations.now());
    revoke(&revocations, "ar-revoked");

    let layer = |revocations: &RevocationsWriter| {
        GatewayLayer::new(revocations.reader()).layer(service_fn(
            async |_: Request<GuardedRequestBody<()>>| {
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            },
        ))
    };
    let mut silent = layer(&revocations);
    let exporter = Exporter::install().expect("no recorder yet");
    let mut recording = layer(&revocations);

    let request = |sid: &str| {
        let mut request = Request::new(());
        let mut claims = Claims::new(sid, 1_795_400_000, 1_795_403_600);
        claims.root_sid = Some("root-1".into());
        claims.agent_session_id = Some("gs-1".into());
        claims.delegation_edge_id = Some("de-1".into());
        request.extensions_mut().insert(claims);
        request.headers_mut().insert("x-request-id", "req-1".parse().expect("a value"));
        request
    };
    let mut figures = Vec::new();
    println!("nanoseconds a request, best of {ROUNDS} batches of {BATCH}");
    println!("{:<44}{:>10}{:>12}{:>10}", "", "silent", "recording", "costs");
    let mut row = |name: &str, request: &Request<()>| {
        let (mut without, mut with) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            without = without.min(batch(&mut silent, request));
            with = with.min(batch(&mut recording, request));
        }
        let costs = (with - without).max(0.0);
        println!("{name:<44}{without:>10.1}{with:>12.1}{costs:>10.1}");
        figures.push(serde_json::json!({
            "name": format!("recording: {name}"), "value": costs, "unit": "ns", "floor": AIM,
        }));
    };
    row("admitted", &request("ar-good"));
    row("denied, a minute after a revocation or less", &request("ar-revoked"));
    clock.advance(Duration::from_secs(61));
    revocations.confirm(revocations.now());
    row("denied, later", &request("ar-revoked"));
    println!("the aim: at most {AIM} ns");

    assert!(exporter.render().contains("caracal_gateway_denials_total"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/figures");
    std::fs::create_dir_all(folder).expect("a folder");
    let text = serde_json::to_string_pretty(&figures).expect("JSON");
    std::fs::write(format!("{folder}/recording.json"), text).expect("a file");
}
