//! Policies: evaluation of a realistic zone on one and two threads, compared with regorus alone; a
//! cached decision; and requests while the policy is reloaded.
//!
//! `cargo bench --bench policies` takes less than a minute and writes
//! `target/figures/policies.json`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use caracal_revocation::policy::{
    ClaimsInput, Evaluation, PolicyBundle, PolicyEngine, PolicyInput, PolicyLayer, PolicyRequest,
    PolicySource, PreparedPolicy, Principal, RegoEngine, Resource, SourceError, ZonePolicies,
};
use caracal_revocation::state::{Checks, Options, RevocationsWriter};
use caracal_test_support::figures::measuring;
use caracal_test_support::tokens;
use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 4;

/// Published cost of an evaluation elsewhere, in µs.
const PUBLISHED: f64 = 390.0;

/// A policy with role grants on resources, a deny list, and limits to delegated scopes.
const POLICY: &str = r#"package caracal.authz

import rego.v1

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": [],
	"diagnostics": [],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": determining,
	"diagnostics": [],
} if {
	count(determining) > 0
	confined
	not blocked
}

determining := [{"policy_id": grant.id} |
	some grant in data.grants
	grant.resource == input.resource.identifier
	applies(grant)
]

applies(grant) if {
	some role in grant.roles
	role in roles
	every scope in input.resource.scopes {
		scope in grant.scopes
	}
	startswith(input.action.path, grant.prefix)
}

roles contains role if {
	some role in data.roles[input.principal.id]
}

roles contains role if {
	some label in input.principal.labels
	role := data.label_roles[label]
}

default confined := true

confined := false if {
	input.delegation_edge != null
	some scope in input.resource.scopes
	not scope in input.delegation_edge.scopes
}

blocked if {
	some prefix in data.blocked
	startswith(input.action.path, prefix)
}
"#;

fn bundle(version: u64) -> PolicyBundle {
    let grants: Vec<_> = (0..50)
        .map(|n| {
            json!({
                "id": format!("grant-{n}"), "resource": format!("https://r-{}.example", n % 10),
                "roles": [format!("role-{}", n % 7), "admin"],
                "scopes": ["read", "write", "list"], "prefix": format!("/api/{}/", n % 5),
            })
        })
        .collect();
    let bundle = PolicyBundle::new(format!("v{version}"))
        .with_module("authz.rego", POLICY)
        .with_data(json!({
            "grants": grants, "roles": { "ar-1": ["role-1", "role-3"], "app-1": ["role-1", "role-3"] },
            "label_roles": { "prod": "role-5" }, "blocked": ["/internal", "/admin"],
            "revision": version,
        }));
    let digest = bundle.compute_digest();
    bundle.with_digest(digest)
}

fn resource() -> Resource {
    Resource::new("api", "r-3", "https://r-3.example").with_scope("read")
}

fn input() -> PolicyInput {
    let principal = Principal::new("application", "app-1", "z-1").with("labels", vec!["prod"]);
    let input = PolicyInput::new(&principal, &resource(), "invoke").unwrap();
    input.with_request("GET", "/api/3/reports").with_session("ar-1")
}

fn evaluate(policy: &dyn PreparedPolicy, input: &PolicyInput) -> Value {
    match policy.evaluate(black_box(input)) {
        Evaluation::Ready(result) => result.unwrap(),
        Evaluation::Pending(_) => panic!("a policy without long built-ins is evaluated at once"),
    }
}

/// The floor: regorus' own interpreter on the unchanged policy. Data and input are regorus values;
/// there is no time limit, and the result is not read.
fn regorus_alone() -> impl FnMut() {
    let bundle = bundle(0);
    let mut engine = regorus::Engine::new();
    for (name, source) in bundle.modules() {
        engine.add_policy(name.to_owned(), source.to_owned()).unwrap();
    }
    engine.add_data(regorus::Value::from(bundle.data().clone())).unwrap();
    let input = regorus::Value::from(input().as_value().clone());
    move || {
        engine.set_input(black_box(&input).clone());
        black_box(engine.eval_rule("data.caracal.authz.result".to_owned()).unwrap());
    }
}

#[derive(Clone, Copy)]
struct Speed {
    /// Median of one evaluation, in µs.
    median: f64,
    p999: f64,
    /// Evaluations a second of all threads together, as if each had its own core.
    a_second: f64,
}

/// Measures this many threads at a time, each with its own worker. Threads lose their cores to
/// other processes, so the rate is that of the median time.
fn measure<W: FnMut()>(threads: usize, worker: impl Fn() -> W + Sync) -> Speed {
    let (ready, worker) = (std::sync::Barrier::new(threads), &worker);
    let times: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let ready = &ready;
                scope.spawn(move || {
                    let (mut work, mut times) = (worker(), Vec::new());
                    ready.wait();
                    let began = Instant::now();
                    while began.elapsed() < ROUND {
                        let one = Instant::now();
                        work();
                        times.push(one.elapsed().as_secs_f64() * 1e6);
                    }
                    times
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let a_second = times.iter().map(|times| 1e6 / percentile(&mut times.clone(), 0.5)).sum();
    let mut all: Vec<f64> = times.into_iter().flatten().collect();
    Speed { median: percentile(&mut all, 0.5), p999: percentile(&mut all, 0.999), a_second }
}

fn percentile(times: &mut [f64], at: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * at) as usize]
}

/// A source that returns a new version on each load.
#[derive(Default)]
struct ChangingSource(AtomicU64);

impl PolicySource for ChangingSource {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        Ok(Some(bundle(self.0.fetch_add(1, Ordering::Relaxed))))
    }
}

/// Returns the times of requests through the layer, in µs.
async fn requests(policies: &ZonePolicies, cached: bool) -> Vec<f64> {
    let revocations = policies.revocations().clone();
    let mut claims = tokens::claims("ar-1");
    claims.zone_id = Some("z-1".into());
    let admission = revocations
        .admit(&claims.into(), &Checks::default(), revocations.now(), None)
        .expect("nothing is revoked");
    let mut layer = PolicyLayer::new(policies.clone(), ClaimsInput::new(resource()));
    if cached {
        layer = layer.with_decision_cache(1_000, Duration::from_secs(60));
    }
    let mut service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(Response::new(
            http_body_util::Empty::<hyper::body::Bytes>::new(),
        ))
    }));
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < ROUND {
        let mut request = Request::get("/api/3/reports").body(()).unwrap();
        request.extensions_mut().insert(admission.clone());
        let one = Instant::now();
        let response = service.call(request).await.unwrap();
        times.push(one.elapsed().as_secs_f64() * 1e6);
        assert_eq!(response.status(), 200);
        if times.len() % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    times
}

fn main() {
    // `cargo test --benches` only checks that it starts.
    if !measuring() {
        return;
    }
    let mut figures = Vec::new();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let engine = RegoEngine::new().with_threads(2).with_time_limit(Duration::from_secs(5));
    let began = Instant::now();
    let policy = runtime.block_on(engine.prepare("z-1", Arc::new(bundle(0)))).unwrap();
    println!("compile, for two threads: {:.0} µs", began.elapsed().as_secs_f64() * 1e6);
    assert_eq!(evaluate(&*policy, &input())["decision"], "allow");
    evaluations(&policy, &mut figures);

    let writer = RevocationsWriter::new(Options::default());
    writer.confirm(writer.now());
    let policies = ZonePolicies::new(writer.reader(), ChangingSource::default(), engine);
    runtime.block_on(through_the_layer(&policies, writer, &mut figures));
    std::fs::create_dir_all("target/figures").unwrap();
    let text = serde_json::to_string_pretty(&figures).unwrap();
    std::fs::write("target/figures/policies.json", text + "\n").unwrap();
}

/// The floor and this engine take turns in each round; the best of each is the result.
fn evaluations(policy: &Arc<dyn PreparedPolicy>, figures: &mut Vec<Value>) {
    let ours = || {
        let input = input();
        move || drop(black_box(evaluate(&**policy, &input)))
    };
    let (mut floors, mut ones, mut twos, mut floors_of_two) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(measure(1, regorus_alone));
        ones.push(measure(1, ours));
        floors_of_two.push(measure(2, regorus_alone));
        twos.push(measure(2, ours));
    }
    let best = |speeds: Vec<Speed>| {
        speeds.into_iter().min_by(|one, other| one.median.total_cmp(&other.median)).unwrap()
    };
    let (floor, one) = (best(floors), best(ones));
    let (floor_of_two, two) = (best(floors_of_two), best(twos));
    println!(
        "evaluate, 1 thread: {:.1} µs (p99.9 {:.1}); regorus alone {:.1} µs; {:.2} times",
        one.median,
        one.p999,
        floor.median,
        one.median / floor.median
    );
    println!(
        "evaluate, 2 threads: {:.1} µs, {:.2} times as many; regorus alone {:.2} times",
        two.median,
        two.a_second / one.a_second,
        floor_of_two.a_second / floor.a_second
    );
    figures.push(json!({
        "name": "evaluate a zone of 50 grants, JSON to JSON, 1 thread", "value": one.median,
        "unit": "us", "peer": PUBLISHED, "floor": floor.median, "ratio": one.median / floor.median,
    }));
    figures.push(json!({
        "name": "evaluations by 2 threads, times those of 1", "value": two.a_second / one.a_second,
        "unit": "times", "peer": null, "floor": floor_of_two.a_second / floor.a_second,
        "ratio": null,
    }));
}

async fn through_the_layer(
    policies: &ZonePolicies,
    writer: RevocationsWriter,
    figures: &mut Vec<Value>,
) {
    requests(policies, false).await;
    report("request, evaluated", &mut requests(policies, false).await, figures);
    report("request, cached", &mut requests(policies, true).await, figures);

    let reloading = Arc::new(AtomicBool::new(true));
    let (more, zones) = (Arc::clone(&reloading), policies.clone());
    let reloads = tokio::spawn(async move {
        let mut reloads = 0_u64;
        while more.load(Ordering::Relaxed) {
            writer.reload_all_policies();
            zones.refresh("z-1").await.unwrap();
            reloads += 1;
        }
        reloads
    });
    let shared = policies.clone();
    let mut times = tokio::spawn(async move { requests(&shared, false).await }).await.unwrap();
    reloading.store(false, Ordering::Relaxed);
    println!("{} reloads", reloads.await.unwrap());
    report("request, evaluated during reloads", &mut times, figures);
}

fn report(what: &str, times: &mut [f64], figures: &mut Vec<Value>) {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|at| percentile(times, at));
    println!("{what}: p50 {p50:.1} µs, p99 {p99:.1} µs, p99.9 {p999:.1} µs ({})", times.len());
    for (at, value) in [("p50", p50), ("p99", p99), ("p99.9", p999)] {
        let name = format!("{what}, {at}");
        figures.push(json!({
            "name": name, "value": value, "unit": "us", "peer": null, "floor": null, "ratio": null,
        }));
    }
}
