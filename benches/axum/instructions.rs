//! Instructions and allocations of a request in each lane, without sockets.
//!
//! Valgrind counts the instructions, which other load on the machine does not change. The benchmark
//! starts itself under valgrind once for each lane.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::process::Command;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use caracal_revocation::Revocations;
use caracal_test_support::figures::Figures;
use http::Request;
use http_body::Body as _;
use tower::Service;

use super::{App, LAYERS, apps, single};

/// The argument with which the benchmark starts itself: the name of a lane follows.
pub(crate) const LANE: &str = "--lane";
const WARM_UP: usize = 100;
const REQUESTS: usize = 1_000;

/// Measures each lane in a process of its own, and prints the difference that each layer makes.
pub(crate) fn measure() {
    let mut figures = Figures::of("axum-instructions");
    println!(
        "{:<36}{:>24}{:>12}",
        "a request without sockets", "instructions added", "allocations"
    );
    for (name, with, without) in LAYERS {
        let (with, without) = (lane(with), lane(without));
        let [instructions, allocations] = [0, 1].map(|at| with[at] - without[at]);
        println!("{name:<36}{instructions:>14.0} to {:>6.0}{allocations:>12.1}", without[0]);
        figures.one(&format!("instructions added by {name}"), instructions, "");
        figures.one(&format!("allocations added by {name}"), allocations, "");
    }
    figures.write();
}

/// Returns the instructions and the allocations of a request in this lane.
fn lane(name: &str) -> [f64; 2] {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*measured_requests*")
        .arg(program)
        .args(["--bench", LANE, name])
        .output()
        .expect("valgrind runs");
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text));
    let (stdout, stderr) = (stdout.expect("text"), stderr.expect("text"));
    assert!(output.status.success(), "{stderr}");
    let after = |text: &str, word: &str| {
        let line = text.lines().find_map(|line| Some(line.split_once(word)?.1));
        line.and_then(|number| number.trim().parse::<f64>().ok()).expect("a number")
    };
    let each = REQUESTS as f64;
    [after(&stderr, "Collected :") / each, after(&stdout, "allocations:") / each]
}

/// Sends requests to one lane. Runs under valgrind.
pub(crate) fn run(name: &str, revocations: Revocations) {
    let runtime = single();
    let _entered = runtime.enter();
    let all = runtime.block_on(apps(revocations));
    let App { token, router, .. } = all.into_iter().find(|app| app.name == name).expect("a lane");
    let requests = |count| {
        let request = |_| {
            let mut request = Request::get("/").header("host", "localhost").header("accept", "*/*");
            if let Some(token) = &token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            request.body(Body::empty()).expect("a request")
        };
        (0..count).map(request).collect::<Vec<_>>()
    };
    let router = router.with_state(());
    measured(&router, requests(WARM_UP));
    let requests = requests(REQUESTS);
    let counted = allocation_counter::measure(|| measured_requests(&router, requests));
    println!("allocations: {}", counted.count_total);
}

/// The function whose instructions valgrind counts.
#[inline(never)]
fn measured_requests(router: &Router, requests: Vec<Request<Body>>) {
    measured(router, requests);
}

/// Serves each request as hyper does, to the end of its response.
fn measured(router: &Router, requests: Vec<Request<Body>>) {
    let mut context = Context::from_waker(Waker::noop());
    for request in requests {
        // As `axum::serve` does: a clone of the service, and a body in a box.
        let mut service = router.clone();
        let future = service.call(request.map(Body::new));
        let Poll::Ready(Ok::<_, Infallible>(response)) = pin!(future).poll(&mut context) else {
            panic!("nothing here waits");
        };
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        while !body.is_end_stream() {
            let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) else {
                panic!("the body does not wait or fail");
            };
            black_box(frame);
        }
    }
}
