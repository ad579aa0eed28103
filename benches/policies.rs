//! Policies: evaluation of a realistic zone at one and two threads, a cached decision, and
//! requests while the policy is reloaded.
//!
//! `cargo bench --bench policies`

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use caracal_revocation::opa::{
    ClaimsInput, Evaluation, PolicyBundle, PolicyEngine, PolicyInput, PolicyLayer, PolicyRequest,
    PolicySource, PreparedPolicy, Principal, RegoEngine, Resource, SourceError, ZonePolicies,
};
use caracal_revocation::{Checks, Claims, Options, Revocations, Verdict};
use http::{Request, Response};
use serde_json::json;
use tower::{Layer, Service, service_fn};

const ROUND: Duration = Duration::from_secs(2);

/// Grants of roles on resources, a deny list, and confinement to what was delegated.
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

fn evaluate(policy: &dyn PreparedPolicy, input: &PolicyInput) -> serde_json::Value {
    match policy.evaluate(black_box(input)) {
        Evaluation::Ready(result) => result.unwrap(),
        Evaluation::Pending(_) => panic!("a policy without long built-ins is evaluated at once"),
    }
}

/// Evaluations a second, by so many threads together; and the median time of one, in µs.
fn measure(threads: usize, policy: &Arc<dyn PreparedPolicy>) -> (f64, f64) {
    let began = Instant::now();
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let (input, mut times) = (input(), Vec::new());
                    while began.elapsed() < ROUND {
                        let one = Instant::now();
                        black_box(evaluate(&**policy, &input));
                        times.push(one.elapsed().as_secs_f64() * 1e6);
                    }
                    times
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    (rate, percentile(&mut times, 0.5))
}

fn percentile(times: &mut [f64], at: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * at) as usize]
}

/// What the machine itself makes of a second thread.
fn machine() -> f64 {
    let spin = |began: Instant| {
        let (mut x, mut n) = (1_u64, 0_u64);
        while n % 65_536 != 0 || began.elapsed() < ROUND / 2 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n));
            n += 1;
        }
        black_box(x);
        n as f64
    };
    let one = spin(Instant::now());
    let began = Instant::now();
    let two: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(move || spin(began))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    two / one
}

/// Another version each time it is asked.
#[derive(Default)]
struct Editing(AtomicU64);

impl PolicySource for Editing {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        Ok(Some(bundle(self.0.fetch_add(1, Ordering::Relaxed))))
    }
}

/// Times of requests through the layer, in µs.
async fn requests(policies: &ZonePolicies, cached: bool) -> Vec<f64> {
    let revocations = policies.revocations().clone();
    let mut claims = Claims::new("ar-1");
    claims.zone_id = Some("z-1".into());
    let admitted = match revocations.decide(&claims, &Checks::default(), revocations.now()) {
        Verdict::Admitted(admitted) => admitted,
        other => panic!("{other:?}"),
    };
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
        request.extensions_mut().insert(claims.clone());
        request.extensions_mut().insert(admitted);
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
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let engine = RegoEngine::new().with_threads(2).with_time_limit(Duration::from_secs(5));
    let began = Instant::now();
    let policy = runtime.block_on(engine.prepare("z-1", Arc::new(bundle(0)))).unwrap();
    println!("compile, for two threads: {:.0} µs", began.elapsed().as_secs_f64() * 1e6);
    assert_eq!(evaluate(&*policy, &input())["decision"], "allow");
    measure(1, &policy);
    let (one, median) = measure(1, &policy);
    let (two, median_two) = measure(2, &policy);
    println!("evaluate, 1 thread: {median:.1} µs, {one:.0}/s");
    println!("evaluate, 2 threads: {median_two:.1} µs, {two:.0}/s, {:.2} times", two / one);
    println!("the machine's second thread: {:.2} times", machine());

    let revocations = Revocations::new(Options::default());
    revocations.confirm(revocations.now());
    let policies = ZonePolicies::new(revocations.clone(), Editing::default(), engine);
    runtime.block_on(async {
        requests(&policies, false).await;
        let mut times = requests(&policies, false).await;
        tell("request, evaluated", &mut times);
        let mut times = requests(&policies, true).await;
        tell("request, cached", &mut times);

        let reloading = Arc::new(AtomicBool::new(true));
        let (more, zones) = (Arc::clone(&reloading), policies.clone());
        let reloads = tokio::spawn(async move {
            let mut reloads = 0_u64;
            while more.load(Ordering::Relaxed) {
                zones.revocations().reload_all_policies();
                zones.refresh("z-1").await.unwrap();
                reloads += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            reloads
        });
        let asking = policies.clone();
        let mut times = tokio::spawn(async move { requests(&asking, false).await }).await.unwrap();
        reloading.store(false, Ordering::Relaxed);
        let reloads = reloads.await.unwrap();
        tell(&format!("request, evaluated during {reloads} reloads"), &mut times);
    });
}

fn tell(what: &str, times: &mut [f64]) {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|at| percentile(times, at));
    println!("{what}: p50 {p50:.1} µs, p99 {p99:.1} µs, p99.9 {p999:.1} µs ({})", times.len());
}
