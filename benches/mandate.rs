//! A mandate at first sight and on a repeat, against jsonwebtoken alone.
//!
//! `cargo bench --bench mandate`; 256 distinct mandates of about 800 bytes, so that nothing is
//! measured on one token that never leaves the first cache.

#[path = "../examples/issuer/mod.rs"]
mod issuer;

use std::convert::Infallible;
use std::hint::black_box;
use std::task::{Context, Poll, Waker};

use axum::routing::get;
use caracal_revocation::{
    Checks, GuardedUpload, Options, ResourceLayer, Revocations, Verdict, Verifier,
};
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use issuer::Issuer;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

const ZONE: &str = "zone-bench";
const AUDIENCE: &str = "https://api.example";
const TOKENS: usize = 256;

struct World {
    runtime: tokio::runtime::Runtime,
    revocations: Revocations,
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
        let revocations = Revocations::new(Options::default());
        let tokens = (0..TOKENS).map(|n| mint(&issuer, n)).collect();
        Self { runtime, revocations, issuer, name, tokens }
    }

    fn verifier(&self, capacity: u64) -> Verifier {
        let builder = Verifier::builder(&self.name, ZONE, AUDIENCE).with_capacity(capacity);
        let verifier = builder.build(&self.revocations).expect("a verifier");
        self.runtime.block_on(verifier.warm_up()).expect("keys");
        verifier
    }

    /// A verifier that has seen every token.
    fn knowing(&self) -> Verifier {
        let verifier = self.verifier(10_000);
        for token in &self.tokens {
            self.runtime.block_on(verifier.verify(token)).expect("a good mandate");
        }
        assert!(self.tokens.iter().all(|token| verifier.recall(token).is_some()));
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

fn mandates(criterion: &mut Criterion) {
    let world = World::new();
    let length = world.tokens.iter().map(String::len).sum::<usize>() / TOKENS;
    println!("mandates of {length} bytes");
    let mut group = criterion.benchmark_group("mandate");
    let mut next = 0;
    let mut token = || {
        next = (next + 1) % TOKENS;
        &world.tokens[next]
    };

    let keys: JwkSet = serde_json::from_str(&world.issuer.jwks()).expect("keys");
    let key = DecodingKey::from_jwk(&keys.keys[0]).expect("a key");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[&world.name]);
    validation.set_audience(&[AUDIENCE]);
    group.bench_function("jsonwebtoken alone", |bencher| {
        bencher.iter(|| {
            let token = token();
            // A verifier of several keys looks at the header for the kid first.
            black_box(decode_header(token).expect("a header"));
            decode::<Value>(token, &key, &validation).expect("a good mandate")
        });
    });

    let forgetful = world.verifier(0);
    group.bench_function("first sight", |bencher| {
        bencher.iter(|| world.runtime.block_on(forgetful.verify(token())).expect("good"));
    });

    let verifier = world.knowing();
    group.bench_function("repeat, verified only", |bencher| {
        bencher.iter(|| verifier.recall(token()).expect("known"));
    });

    let checks = Checks::default();
    world.revocations.confirm(world.revocations.now());
    group.bench_function("repeat, verified and asked about revocation", |bencher| {
        bencher.iter(|| {
            let mandate = verifier.recall(token()).expect("known");
            let now = world.revocations.now();
            match world.revocations.decide(mandate.claims(), &checks, now) {
                Verdict::Admitted(admitted) => (mandate, admitted),
                other => panic!("{other:?}"),
            }
        });
    });

    let inner = service_fn(|request: Request<GuardedUpload<()>>| {
        std::hint::black_box(request.extensions().len());
        std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let mut service = ResourceLayer::new(verifier).require_scope("orders:read").layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let requests: Vec<header::HeaderValue> = world
        .tokens
        .iter()
        .map(|token| format!("Bearer {token}").parse().expect("a header"))
        .collect();
    let mut next = 0;
    group.bench_function("repeat, through the whole layer", |bencher| {
        bencher.iter(|| {
            next = (next + 1) % TOKENS;
            let mut request = Request::new(());
            request.headers_mut().insert(header::AUTHORIZATION, requests[next].clone());
            let mut response = std::pin::pin!(service.call(request));
            match response.as_mut().poll(&mut cx) {
                Poll::Ready(Ok(response)) => {
                    assert_eq!(response.status(), 200);
                    response
                }
                other => panic!("{:?}", other.is_ready()),
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(60);
    targets = mandates
}
criterion_main!(benches);
