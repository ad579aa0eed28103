//! A mandate that is verified for the first time and again, compared with jsonwebtoken alone.
//!
//! `cargo bench --bench mandate` takes less than a minute and writes `target/figures/mandate.json`.
//! It uses 256 distinct mandates of about 1,000 bytes, since a single token would stay in the
//! processor's first cache.

use std::convert::Infallible;
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::routing::get;
use caracal_revocation::gateway::GuardedRequestBody;
use caracal_revocation::state::{Checks, Options, RevocationsWriter, Verdict};
use caracal_revocation::{ResourceLayer, Verifier};
use caracal_test_support::issuer::Issuer;
use http::{Request, Response, header};
use http_body_util::{Empty, Full};
use hyper::body::Bytes;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

const ZONE: &str = "zone-bench";
const AUDIENCE: &str = "https://api.example";
const TOKENS: usize = 256;
/// Each round measures each step, so that a disturbance affects all steps.
const ROUNDS: usize = 60;
/// Passes over all tokens in a round, for steps of about a microsecond.
const TURNS: usize = 16;

struct World {
    runtime: tokio::runtime::Runtime,
    revocations: RevocationsWriter,
    issuer: Issuer,
    name: String,
    tokens: Vec<String>,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (name, issuer) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let name = format!("http://{}", listener.local_addr().expect("an address"));
            let issuer = Issuer::new(&name, ZONE).expect("an issuer");
            let keys = issuer.clone();
            let keys = get(async move || keys.jwks());
            let app = axum::Router::new().route("/.well-known/jwks.json", keys);
            tokio::spawn(async move { axum::serve(listener, app).await });
            (name, issuer)
        });
        let revocations = RevocationsWriter::new(Options::default());
        let tokens = (0..TOKENS).map(|n| mint(&issuer, n)).collect();
        Self { runtime, revocations, issuer, name, tokens }
    }

    fn verifier(&self, capacity: u64) -> Verifier {
        let builder = Verifier::builder(&self.name, ZONE, AUDIENCE).with_capacity(capacity);
        let verifier = builder.build(&self.revocations).expect("a verifier");
        self.runtime.block_on(verifier.warm_up()).expect("keys");
        verifier
    }

    /// Returns a verifier that has cached every token.
    fn knowing(&self) -> Verifier {
        let verifier = self.verifier(10_000);
        for token in &self.tokens {
            self.runtime.block_on(verifier.verify(token)).expect("a good mandate");
        }
        assert!(self.tokens.iter().all(|token| verifier.cached(token).is_some()));
        verifier
    }
}

fn mint(issuer: &Issuer, n: usize) -> String {
    let more = json!({
        "scope": "orders:read orders:write", "agent_session_id": format!("gs-{n:032}"),
        "delegation_edge_id": format!("de-{n:032}"), "delegation_path": [format!("de-{n:032}")],
        "delegation_graph_epoch": 7, "hop_count": 1, "target": ["orders"],
    });
    issuer.mint(&format!("ar-{n:032}"), AUDIENCE, &more).expect("a mandate")
}

fn main() {
    // `cargo test --benches` only checks that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let world = World::new();
    let length = world.tokens.iter().map(String::len).sum::<usize>() / TOKENS;
    println!("256 mandates of {length} bytes; ns each, of {ROUNDS} rounds");
    let mut steps = steps(&world);
    for _ in 0..ROUNDS {
        for step in &mut steps {
            let begun = Instant::now();
            for _ in 0..step.turns {
                (0..TOKENS).for_each(&mut step.run);
            }
            let count = (step.turns * TOKENS) as f64;
            step.nanos.push(begun.elapsed().as_nanos() as f64 / count);
        }
    }
    let mut figures = Vec::new();
    let peer = median(&mut steps[0].nanos);
    println!("{:<48}{:>10}{:>10}{:>14}", "", "median", "best", "jwt alone /");
    for step in &mut steps {
        let median = median(&mut step.nanos);
        println!("{:<48}{median:>10.0}{:>10.0}{:>14.1}", step.name, step.nanos[0], peer / median);
        figures.push(json!({
            "name": step.name, "value": median, "unit": "ns", "peer": peer, "floor": null,
            "ratio": peer / median,
        }));
    }
    std::fs::create_dir_all("target/figures").expect("a folder");
    let text = serde_json::to_string_pretty(&figures).expect("JSON");
    std::fs::write("target/figures/mandate.json", text + "\n").expect("written");
}

/// An operation on the token with this number, and its times.
struct Step<'w> {
    name: &'static str,
    turns: usize,
    run: Box<dyn FnMut(usize) + 'w>,
    nanos: Vec<f64>,
}

impl<'w> Step<'w> {
    fn new(name: &'static str, turns: usize, run: impl FnMut(usize) + 'w) -> Self {
        Self { name, turns, run: Box::new(run), nanos: Vec::new() }
    }
}

fn steps(world: &World) -> Vec<Step<'_>> {
    let keys: JwkSet = serde_json::from_str(&world.issuer.jwks()).expect("keys");
    let key = DecodingKey::from_jwk(&keys.keys[0]).expect("a key");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[&world.name]);
    validation.set_audience(&[AUDIENCE]);
    let alone = move |n: usize| {
        let token = &world.tokens[n];
        // A verifier with several keys first reads the key id in the header.
        black_box(decode_header(token).expect("a header"));
        black_box(decode::<Value>(token, &key, &validation).expect("a good mandate"));
    };
    let forgetful = world.verifier(0);
    let first = move |n: usize| {
        black_box(world.runtime.block_on(forgetful.verify(&world.tokens[n])).expect("good"));
    };
    let verifier = world.knowing();
    world.revocations.confirm(world.revocations.now());
    let recalling = verifier.clone();
    let recall = move |n: usize| {
        black_box(recalling.cached(&world.tokens[n]).expect("known"));
    };
    let deciding = verifier.clone();
    let decide = move |n: usize| {
        let mandate = deciding.cached(&world.tokens[n]).expect("known");
        let now = world.revocations.now();
        match world.revocations.decide(mandate.claims(), &Checks::default(), now) {
            Verdict::Admitted(admitted) => drop(black_box((mandate, admitted))),
            other => panic!("{other:?}"),
        }
    };
    vec![
        Step::new("jsonwebtoken alone", 1, alone),
        Step::new("first sight", 1, first),
        Step::new("repeat, verified only", TURNS, recall),
        Step::new("repeat, verified and asked about revocation", TURNS, decide),
        Step::new("repeat, through the whole layer", TURNS, through_the_layer(world, verifier)),
    ]
}

fn through_the_layer(world: &World, verifier: Verifier) -> impl FnMut(usize) {
    let inner = service_fn(|request: Request<GuardedRequestBody<Empty<Bytes>>>| {
        let response = Response::new(Full::<Bytes>::default());
        black_box(request.extensions().len());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut service = ResourceLayer::new(verifier).require_scope("orders:read").layer(inner);
    let headers: Vec<header::HeaderValue> = world
        .tokens
        .iter()
        .map(|token| format!("Bearer {token}").parse().expect("a header"))
        .collect();
    move |n| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut request = Request::new(Empty::<Bytes>::new());
        request.headers_mut().insert(header::AUTHORIZATION, headers[n].clone());
        let mut response = std::pin::pin!(service.call(request));
        match response.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(response)) => assert_eq!(black_box(response).status(), 200),
            other => panic!("{:?}", other.is_ready()),
        }
    }
}

fn median(nanos: &mut [f64]) -> f64 {
    nanos.sort_by(f64::total_cmp);
    nanos[nanos.len() / 2]
}
