//! Instructions of a request in each lane, without sockets; and the lines of 64 bytes that they are in.
//! A line that has left the first-level cache since the last request is read from the second-level one.
//!
//! Valgrind counts both, and other load on the machine does not change them. The benchmark starts
//! itself under valgrind once for each lane. The clock stands still, because valgrind does not
//! run the kernel's code that reads it: that is 35 to 40 ns more on each decision.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fs;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, HttpBody};
use caracal_revocation::state::{Clock, Moment, Options, RevocationsWriter};
use caracal_test_support::figures::{Figures, head, row};
use caracal_test_support::tokens;
use http::Request;
use tempfile::NamedTempFile;
use tower::Service;

use super::{LAYERS, REVOKED, single};
use crate::apps::{App, apps};

/// The argument with which the benchmark starts itself: the name of a lane follows.
pub(crate) const LANE: &str = "--lane";
const WARM_UP: usize = 100;
const REQUESTS: usize = 1_000;

/// Measures each lane in a process of its own, and prints the difference that each layer makes.
pub(crate) fn measure() {
    let mut figures = Figures::of("axum-instructions");
    let mut lines = Vec::new();
    head("instructions that a layer adds to a request, without sockets", "");
    for (name, with, without) in LAYERS {
        let (with, without) = (lane(with), lane(without));
        let added = with.instructions - without.instructions;
        row(name, &[added]);
        figures.one(&format!("instructions added by {name}"), added, "a request");
        lines.push((name, with.lines.difference(&without.lines).count() as f64));
    }
    head("lines of code (64 bytes) that only requests with the layer run", "");
    for (name, added) in lines {
        row(name, &[added]);
        figures.one(&format!("lines of code added by {name}"), added, "a request");
    }
    figures.write();
}

/// The work for a request.
struct Work {
    instructions: f64,
    /// The addresses of the lines of code, by 64 bytes. Every second request or more runs them.
    lines: HashSet<u64>,
}

/// Returns the work for a request in this lane.
fn lane(name: &str) -> Work {
    let program = std::env::current_exe().expect("this program has a path");
    let profile = NamedTempFile::new().expect("a file");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--dump-instr=yes"])
        .args(["--compress-pos=no", "--toggle-collect=*measured_requests*"])
        .arg(format!("--callgrind-out-file={}", profile.path().display()))
        .arg(program)
        .args(["--bench", LANE, name])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{text}");
    let collected = text.lines().find_map(|line| Some(line.split_once("Collected :")?.1));
    let collected = collected.and_then(|number| number.trim().parse::<f64>().ok());
    let instructions = collected.expect("a number of instructions") / REQUESTS as f64;
    let profile = fs::read_to_string(profile.path()).expect("valgrind's profile");
    Work { instructions, lines: code_lines(&profile) }
}

/// Reads a profile of callgrind: a line for each instruction has its address, its source line and its
/// count. After `calls=` comes a line about the function that is called.
fn code_lines(profile: &str) -> HashSet<u64> {
    let mut counts = HashMap::new();
    let mut lines = profile.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("calls=") {
            lines.next();
        } else if let Some(line) = line.strip_prefix("0x") {
            let mut parts = line.split(' ');
            let address = parts.next().and_then(|text| u64::from_str_radix(text, 16).ok());
            let count = parts.next_back().and_then(|text| text.parse::<usize>().ok());
            *counts.entry(address.expect("an address") / 64).or_insert(0) +=
                count.expect("a count");
        }
    }
    let often = counts.into_iter().filter(|(_, count)| *count >= REQUESTS / 2);
    often.map(|(line, _)| line).collect()
}

/// Sends requests to one lane. Runs under valgrind.
pub(crate) fn run(name: &str) {
    let wall = UNIX_EPOCH.elapsed().expect("a clock after 1970");
    let now = Moment { monotonic: Duration::from_secs(1), wall };
    let writer = RevocationsWriter::with_clock(Options::default(), Arc::new(StoppedClock(now)));
    tokens::revoke(&writer, &(0..REVOKED).map(tokens::id).collect::<Vec<_>>());
    writer.confirm(now);
    let runtime = single();
    let _entered = runtime.enter();
    let all = runtime.block_on(apps(writer.reader()));
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
    measured_requests(&router, requests(REQUESTS));
}

#[derive(Debug)]
struct StoppedClock(Moment);

impl Clock for StoppedClock {
    fn now(&self) -> Moment {
        self.0
    }
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
        // As `axum::serve` does.
        let mut service = router.clone();
        let future = service.call(request);
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
