//! Time and allocations that the whole layer adds to a request. `cargo bench --bench layer` takes
//! less than a minute and writes `target/figures/layer.json`.
//!
//! The requests carry 256 mandates with a payload of 616 bytes: four anchors each, a chain of three
//! hops and an epoch. A Prometheus recorder is installed, and a thousand ids are revoked. Each
//! variant alternates with the service alone on the same requests, which are built beforehand.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caracal_revocation::gateway::CutOptions;
use caracal_revocation::metrics::Exporter;
use caracal_revocation::state::{Checks, RevocationsWriter, Text, Verdict};
use caracal_revocation::{Authority, Claims, GatewayLayer, ResourceLayer, Revocations, Verifier};
use caracal_test_support::figures::{self, Figures, head, median, row};
use caracal_test_support::issuer::Issuer;
use caracal_test_support::services::Empty;
use caracal_test_support::tokens;
use http::{Request, Response, header};
use serde_json::json;
use tower::{Layer, Service};

const TOKENS: usize = 256;
/// Each round measures each variant by the median of `BATCHES` batches of all tokens, since other
/// load on the machine disturbs some batches.
const ROUNDS: usize = 20;
const BATCHES: usize = 25;
const PAYLOAD: usize = 616;
const ZONE: &str = "z-1";
const AUDIENCE: &str = "https://api.example";
/// Target: nanoseconds that the layer may add to a request.
const AIM: f64 = 600.0;

fn main() {
    if !figures::measuring() {
        return;
    }
    let exporter = Exporter::install().expect("no recorder yet");
    let world = World::new();
    let mut figures = Figures::of("layer");
    // Turns off the counting of allocations during the timings, except for two nanoseconds each.
    allocation_counter::opt_out(|| times(&world, &mut figures));
    allocations(&world, &mut figures);
    assert!(exporter.render().contains("caracal_gateway_denials_total"));
    figures.write();
}

struct World {
    revocations: RevocationsWriter,
    claims: Vec<Claims>,
    authorities: Vec<Authority>,
    payloads: Vec<String>,
    /// Tokens with such a payload and a fake signature.
    unverified: Vec<String>,
    /// Signed mandates that the verifier has cached.
    mandates: Vec<String>,
    verifier: Verifier,
}

impl World {
    fn new() -> Self {
        let revocations = tokens::revoked(1_000);
        let payloads: Vec<_> = (0..TOKENS as u64).map(payload).collect();
        let claims: Vec<Claims> =
            payloads.iter().map(|payload| serde_json::from_str(payload).expect("claims")).collect();
        assert!(claims.iter().all(|claims| claims.delegation_chain.len() == 3));
        let unverified = payloads.iter().map(|payload| {
            let [head, payload] = [r#"{"alg":"ES256","typ":"JWT","kid":"zone-key-1"}"#, payload]
                .map(|part| URL_SAFE_NO_PAD.encode(part));
            format!("{head}.{payload}.{}", "s".repeat(86))
        });
        let unverified = unverified.collect();
        let (verifier, mandates) = verified(&revocations);
        let authorities = claims.iter().map(|claims| revocations.authority(claims)).collect();
        Self { revocations, claims, authorities, payloads, unverified, mandates, verifier }
    }

    fn gateway(&self) -> GatewayLayer {
        GatewayLayer::new(self.revocations.reader())
    }

    /// Returns requests with claims in their extensions.
    fn with_claims(&self) -> Vec<Request<Body>> {
        let request = |claims: &Claims| {
            let mut request = Request::get("/").body(Body::empty()).expect("a request");
            request.extensions_mut().insert(claims.clone());
            request
        };
        self.claims.iter().map(request).collect()
    }

    /// Returns requests with an authority in their extensions.
    fn with_authority(&self) -> Vec<Request<Body>> {
        let request = |authority: &Authority| {
            let mut request = Request::get("/").body(Body::empty()).expect("a request");
            request.extensions_mut().insert(authority.clone());
            request
        };
        self.authorities.iter().map(request).collect()
    }
}

/// Returns requests with these bearer tokens.
fn bearing(tokens: &[String]) -> Vec<Request<Body>> {
    let request = |token: &String| {
        let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
        request.body(Body::empty()).expect("a request")
    };
    tokens.iter().map(request).collect()
}

/// Returns the payload of mandate `n`, padded to the exact length.
fn payload(n: u64) -> String {
    let id = |kind: u64| tokens::id(tokens::UNKNOWN + n * 16 + kind)[..18].to_owned();
    let now = tokens::claims("").iat;
    let hop = |kind: u64| json!({ "application_id": "app-7", "delegation_edge_id": id(kind) });
    let mut claims = json!({
        "iss": "https://sts.example", "aud": AUDIENCE, "sub": "", "zone_id": ZONE,
        "client_id": "app-7", "sub_type": "user", "use": "gateway", "jti": id(7),
        "iat": now, "exp": now + 3_600, "sid": id(0), "root_sid": id(1),
        "agent_session_id": id(2), "delegation_edge_id": id(3),
        "delegation_chain": [hop(4), hop(5), hop(6)], "delegation_graph_epoch": 7,
    });
    let short = claims.to_string().len();
    claims["sub"] = "u".repeat(PAYLOAD.checked_sub(short).expect("room for a subject")).into();
    claims.to_string()
}

/// Returns mandates with the same claims, and a verifier that has cached each.
fn verified(revocations: &Revocations) -> (Verifier, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let name = format!("http://{}", listener.local_addr().expect("an address"));
        let issuer = Issuer::new(&name, ZONE).expect("an issuer");
        let keys = issuer.clone();
        let keys = Router::new().route("/.well-known/jwks.json", get(async move || keys.jwks()));
        tokio::spawn(async move { axum::serve(listener, keys).await });
        let verifier = Verifier::builder(&name, ZONE, AUDIENCE).with_capacity(10_000);
        let verifier = verifier.build(revocations).expect("a verifier");
        verifier.warm_up().await.expect("keys");
        let mut mandates = Vec::new();
        for n in 0..TOKENS as u64 {
            let mut claims: serde_json::Value = serde_json::from_str(&payload(n)).expect("JSON");
            let sid = claims["sid"].as_str().expect("an id").to_owned();
            let own =
                ["iss", "aud", "sub", "zone_id", "use", "jti", "iat", "exp", "sid", "root_sid"];
            let all = claims.as_object_mut().expect("an object");
            own.iter().for_each(|name| drop(all.remove(*name)));
            let mandate = issuer.mint(&sid, AUDIENCE, &claims).expect("a mandate");
            verifier.verify(&mandate).await.expect("a good mandate");
            mandates.push(mandate);
        }
        (verifier, mandates)
    })
}

/// Runs each request to its end, and drops the response.
fn serve<S, B>(service: &mut S, requests: Vec<Request<Body>>)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    for request in requests {
        assert!(service.poll_ready(&mut context).is_ready());
        let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
            panic!("nothing here waits");
        };
        assert_eq!(response.status(), 200);
        black_box(response);
    }
}

/// Returns nanoseconds for each of `each` sequential operations.
fn nanos(each: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / each as f64
}

/// Returns the median of all batches.
fn batches(run: impl Fn()) -> f64 {
    let times: Vec<_> = (0..BATCHES).map(|_| nanos(TOKENS, &run)).collect();
    median(&times)
}

/// One variant of the layer, and the service alone on the same requests.
struct Way<'w> {
    name: &'static str,
    requests: Box<dyn Fn() -> Vec<Request<Body>> + 'w>,
    layered: Box<dyn FnMut(Vec<Request<Body>>) + 'w>,
    with: Vec<f64>,
    without: Vec<f64>,
}

impl<'w> Way<'w> {
    fn new<S, B>(
        name: &'static str,
        requests: impl Fn() -> Vec<Request<Body>> + 'w,
        mut service: S,
    ) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'w,
    {
        let layered = Box::new(move |requests| serve(&mut service, requests));
        let (with, without) = (Vec::new(), Vec::new());
        Self { name, requests: Box::new(requests), layered, with, without }
    }

    fn round(&mut self) {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..BATCHES {
            let requests = (self.requests)();
            without.push(nanos(TOKENS, || serve(&mut Empty, requests)));
            let requests = (self.requests)();
            with.push(nanos(TOKENS, || (self.layered)(requests)));
        }
        self.without.push(median(&without));
        self.with.push(median(&with));
    }

    /// Returns the time that the layer added in each round.
    fn added(&self) -> Vec<f64> {
        self.with.iter().zip(&self.without).map(|(with, without)| with - without).collect()
    }

    /// Returns the allocations of a request beyond those of the service alone.
    fn allocations(&mut self) -> f64 {
        let alone = (self.requests)();
        let layered = (self.requests)();
        // The first request of a thread may allocate shared memory.
        (self.layered)((self.requests)());
        let alone = allocation_counter::measure(|| serve(&mut Empty, alone));
        let layered = allocation_counter::measure(|| (self.layered)(layered));
        (layered.count_total as f64 - alone.count_total as f64) / TOKENS as f64
    }
}

fn ways(world: &World) -> [Way<'_>; 6] {
    let uncut = || CutOptions::new().insecure_disabled();
    let unverified = || world.gateway().with_insecure_unverified_claims();
    let resource = ResourceLayer::new(world.verifier.clone());
    [
        Way::new(
            "gateway, claims in the extensions",
            || world.with_claims(),
            world.gateway().layer(Empty),
        ),
        Way::new(
            "the same, nothing guarded once admitted",
            || world.with_claims(),
            world.gateway().with_cutting(uncut()).layer(Empty),
        ),
        Way::new(
            "gateway, an authority in the extensions",
            || world.with_authority(),
            world.gateway().layer(Empty),
        ),
        Way::new(
            "gateway that parses the token, unverified",
            || bearing(&world.unverified),
            unverified().layer(Empty),
        ),
        Way::new(
            "the same, nothing guarded once admitted",
            || bearing(&world.unverified),
            unverified().with_cutting(uncut()).layer(Empty),
        ),
        Way::new(
            "resource server, verified before, epoch checked",
            || bearing(&world.mandates),
            resource.layer(Empty),
        ),
    ]
}

/// The steps alone.
fn decide(world: &World, checks: &Checks) {
    for claims in &world.claims {
        let verdict =
            world.revocations.decide(black_box(claims), checks, world.revocations.now_coarse());
        assert!(matches!(black_box(verdict), Verdict::Admitted(_)));
    }
}

fn decide_on(world: &World, checks: &Checks) {
    for authority in &world.authorities {
        let verdict = black_box(authority).decide(checks, world.revocations.now_coarse());
        assert!(matches!(black_box(verdict), Verdict::Admitted(_)));
    }
}

fn parse(payloads: &[String]) {
    for payload in payloads {
        let claims: Claims<Text<'_>> = serde_json::from_str(black_box(payload)).expect("claims");
        black_box(claims);
    }
}

fn checks(epoch: bool) -> Checks {
    let mut checks = Checks::default();
    checks.delegation_epoch = epoch;
    checks
}

fn times(world: &World, figures: &mut Figures) {
    let mut ways = ways(world);
    let (mut plain, mut with_epoch, mut parsed) = (Vec::new(), Vec::new(), Vec::new());
    let (mut on_authority, mut silent) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        world.revocations.confirm(world.revocations.now_coarse());
        ways.iter_mut().for_each(Way::round);
        plain.push(batches(|| decide(world, &checks(false))));
        with_epoch.push(batches(|| decide(world, &checks(true))));
        on_authority.push(batches(|| decide_on(world, &checks(false))));
        parsed.push(batches(|| parse(&world.payloads)));
        silent.push(ways[0].without.last().copied().unwrap_or_default());
    }
    head("what the layer adds to a request", "ns");
    for way in &ways {
        let added = way.added();
        row(way.name, &added);
        let name = match way.name {
            "the same, nothing guarded once admitted" => continue,
            name => format!("added by the layer: {name}"),
        };
        figures.add(&name, &added, "ns");
    }
    row("the service alone", &silent);
    println!("  the aim: at most {AIM:.0} ns added");
    head("steps of it", "ns");
    for (name, times) in [
        ("clock and verdict", &plain),
        ("clock and verdict, epoch checked", &with_epoch),
        ("clock and verdict on an authority", &on_authority),
        ("claims out of the decoded payload", &parsed),
    ] {
        row(name, times);
        figures.add(&format!("step: {name}"), times, "ns");
    }
}

fn allocations(world: &World, figures: &mut Figures) {
    world.revocations.confirm(world.revocations.now_coarse());
    let count = |run: &dyn Fn()| {
        run();
        allocation_counter::measure(run).count_total as f64 / TOKENS as f64
    };
    let decision = count(&|| decide(world, &checks(true)));
    let parsing = count(&|| parse(&world.payloads));
    let mut ways = ways(world);
    let [full, uncut, on_authority, parsed, parsed_uncut, verified] =
        ways.each_mut().map(|way| way.allocations());
    let boxing = boxing(world) - full;
    let rows = [
        ("the decision: clock, verdict, epoch", decision),
        ("extensions of the request (the proof and the claims)", uncut),
        ("the guard of what runs, and its signal", full - uncut),
        ("axum, that boxes once more what is layered", boxing),
        ("token decoded and parsed, where the layer does it", parsed_uncut - uncut),
        ("  of which the claims themselves", parsing),
        ("in all: gateway, claims in the extensions", full),
        ("in all: gateway, an authority in the extensions", on_authority),
        ("in all: gateway that parses the token", parsed),
        ("in all: resource server, verified before", verified),
    ];
    println!("\nallocations a request");
    for (name, count) in rows {
        println!("  {name:<56}{count:>12.2}");
        figures.one(&format!("allocations: {}", name.trim()), count, "a request");
    }
    assert_eq!(decision, 0.0, "the decision allocates");
    // The proof in the extensions, and the claims in shared memory.
    assert!(uncut <= 2.0, "the claims are copied");
    assert!(on_authority <= full, "an authority costs more than claims");
}

/// Returns the allocations that the layer adds to a request in axum.
fn boxing(world: &World) -> f64 {
    let app = || Router::new().route("/", get(async || ()));
    let run = |app: Router| {
        // Once, like `axum::serve`, not for each request.
        let mut service = app.with_state(());
        let mut turn = |requests: Vec<Request<Body>>| serve(&mut service, requests);
        turn(world.with_claims());
        let requests = world.with_claims();
        allocation_counter::measure(|| turn(requests)).count_total as f64 / TOKENS as f64
    };
    run(app().layer(world.gateway())) - run(app())
}
