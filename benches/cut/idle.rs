//! Short requests and idle streams: what the guard costs while nothing is revoked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use caracal_revocation::gateway::{CutOptions, GuardedRequestBody};
use caracal_revocation::{Admission, GatewayLayer};
use caracal_test_support::figures::quantile;
use caracal_test_support::services::Streams;
use http::{Request, Response, header};
use http_body_util::{Empty, Full};
use hyper::body::{Body, Bytes};
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

use crate::{IDLE, claims, figure, fresh, revoke};

const SHORT_BATCHES: usize = 400;
const SHORT_BATCH: usize = 256;
const ENTRIES: usize = 200;
const ENTRY_ROUNDS: usize = 200;

/// A service that answers at once, for any request body.
#[derive(Clone, Copy)]
pub(crate) struct Hello;

impl<B> Service<Request<B>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::from("hello"))))
    }
}

/// Returns nanoseconds per request with its body read to the end, without the time to build it.
fn short_batch<S, B>(service: &mut S) -> f64
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let mut context = Context::from_waker(Waker::noop());
    let requests: Vec<_> = (0..SHORT_BATCH)
        .map(|n| {
            let mut request = Request::get("/").body(Empty::new()).unwrap();
            request.headers_mut().insert(header::ACCEPT, "*/*".parse().unwrap());
            request.extensions_mut().insert(claims(n));
            request
        })
        .collect();
    let start = Instant::now();
    for request in requests {
        let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
            panic!("nothing here waits");
        };
        let mut body = pin!(response.into_body());
        while !body.is_end_stream() {
            let Poll::Ready(frame) = body.as_mut().poll_frame(&mut context) else {
                panic!("nothing here waits");
            };
            black_box(frame.and_then(Result::ok));
        }
    }
    start.elapsed().as_nanos() as f64 / SHORT_BATCH as f64
}

pub(crate) fn short_requests(figures: &mut Vec<Value>) {
    let revocations = fresh();
    // Fill the filter, as in production.
    (0..1_000).for_each(|n| revoke(&revocations, "sid", &format!("revoked-{n}")));
    let mut bare = Hello;
    let off = CutOptions::new().insecure_disabled();
    let mut without = GatewayLayer::new(revocations.reader()).with_cutting(off).layer(Hello);
    let mut with = GatewayLayer::new(revocations.reader()).layer(Hello);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..SHORT_BATCHES {
        times[0].push(short_batch(&mut bare));
        times[1].push(short_batch(&mut without));
        times[2].push(short_batch(&mut with));
    }
    let [bare, without, with] = times.map(|times| quantile(&times, 0.5));
    println!(
        "a short request: the service {bare:.0} ns, with the layer {without:.0}, that also guards {with:.0}"
    );
    println!("  guarding adds {:.0} ns (aim: 300)", with - without);
    figures.push(figure("guarding a short request, added", with - without, "ns", None));
    figures.push(json!({
        "name": "a short request through the guarding layer",
        "value": with, "unit": "ns", "peer": without, "floor": bare, "ratio": with / without,
    }));
}

/// Starts an idle stream behind the layer, and returns its waiting body.
pub(crate) fn idle_body<S>(service: &mut S, n: usize, waker: &Waker) -> Pin<Box<S::ResBody>>
where
    S: Answers,
{
    let mut context = Context::from_waker(waker);
    let mut request = Request::new(Empty::new());
    request.extensions_mut().insert(claims(n));
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
        panic!("nothing here waits");
    };
    let mut body = Box::pin(response.into_body());
    assert!(body.as_mut().poll_frame(&mut context).is_ready());
    assert!(body.as_mut().poll_frame(&mut context).is_pending());
    body
}

/// A service whose response body type can be named.
pub(crate) trait Answers:
    Service<Request<Empty<Bytes>>, Response = Response<Self::ResBody>, Error = Infallible>
{
    type ResBody: Body<Data = Bytes>;
}

impl<S, B> Answers for S
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    type ResBody = B;
}

/// Returns the resident memory of this process in bytes.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4_096.0
}

pub(crate) fn memory(figures: &mut Vec<Value>) {
    // A waker like tokio's: a pointer and a count.
    let waker = Waker::from(Arc::new(NoopWaker));
    let grown = |layer: GatewayLayer| {
        let mut service = layer.layer(Streams);
        let before = resident();
        let bodies: Vec<_> = (0..IDLE).map(|n| idle_body(&mut service, n, &waker)).collect();
        let grown = (resident() - before) / IDLE as f64;
        (grown, bodies)
    };
    let guarded = grown(GatewayLayer::new(fresh().reader()));
    let off = CutOptions::new().insecure_disabled();
    let bare = grown(GatewayLayer::new(fresh().reader()).with_cutting(off));
    println!(
        "an idle stream: {:.0} bytes guarded, {:.0} without (body and handle)",
        guarded.0, bare.0
    );
    println!("  guarding adds {:.0} bytes (aim: 512)", guarded.0 - bare.0);
    figures.push(figure("memory of guarding a stream", guarded.0 - bare.0, "bytes", None));
}

struct NoopWaker;

impl std::task::Wake for NoopWaker {
    fn wake(self: Arc<Self>) {}
}

/// Measures the entry of one more stream into the registry, and its exit. It enters under four
/// anchors and its end, and the state is checked once more. The floor is a sharded map with one
/// entry for each stream.
pub(crate) fn entry(figures: &mut Vec<Value>) {
    let revocations = fresh();
    let service = service_fn(|mut request: Request<GuardedRequestBody<Empty<Bytes>>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.extensions_mut() = std::mem::take(request.extensions_mut());
        ready(Ok::<_, Infallible>(response))
    });
    let mut service = GatewayLayer::new(revocations.reader()).layer(service);
    let mut start = |n| {
        let mut context = Context::from_waker(Waker::noop());
        let mut request = Request::new(Empty::new());
        request.extensions_mut().insert(claims(n));
        let Poll::Ready(Ok(mut response)) = pin!(service.call(request)).poll(&mut context) else {
            panic!("nothing here waits");
        };
        response.extensions_mut().remove::<Admission>().unwrap()
    };
    let enter = |one: &Admission| assert!(one.revoked().cut().is_none());
    let shards: Vec<Mutex<HashMap<usize, Arc<()>>>> = (0..64).map(|_| Mutex::default()).collect();
    let value = Arc::new(());
    let insert = |n: usize| drop(shards[n % 64].lock().unwrap().insert(n, Arc::clone(&value)));
    let remove = |n: usize| drop(shards[n % 64].lock().unwrap().remove(&n));
    let idle: Vec<_> = (0..IDLE).map(&mut start).collect();
    idle.iter().for_each(enter);
    (0..IDLE).for_each(insert);
    let mut times = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for n in (IDLE..).step_by(ENTRIES).take(ENTRY_ROUNDS) {
        revocations.confirm(revocations.now());
        let more: Vec<_> = (n..n + ENTRIES).map(&mut start).collect();
        let mut time = |at: usize, work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            times[at].push(start.elapsed().as_nanos() as f64 / ENTRIES as f64);
        };
        time(0, &mut || more.iter().for_each(enter));
        time(1, &mut || (n..n + ENTRIES).for_each(insert));
        let mut more = Some(more);
        time(2, &mut || drop(more.take()));
        time(3, &mut || (n..n + ENTRIES).for_each(remove));
    }
    let [entry, entry_floor, exit, exit_floor] = times.map(|times| quantile(&times, 0.5));
    println!(
        "one stream more next to {IDLE}: entry {entry:.0} ns, exit {exit:.0} (aim: entry 2000)"
    );
    println!("  the floor: {entry_floor:.0} and {exit_floor:.0} ns");
    figures.push(figure("entry into the registry next to 100,000", entry, "ns", Some(entry_floor)));
    figures.push(figure("exit from the registry next to 100,000", exit, "ns", Some(exit_floor)));
}
