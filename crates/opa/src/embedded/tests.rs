use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::{Evaluation, EvaluationError, PolicyInput, Principal, Resource};

fn input(path: &str) -> PolicyInput {
    let principal = Principal::new("application", "app-1", "z-1").with("nested", json!([[1, 2]]));
    let resource = Resource::new("api", "r-1", "https://api.example").with_scope("read");
    PolicyInput::new(&principal, &resource, "invoke").unwrap().with_request("GET", path)
}

fn bundle(body: &str) -> Arc<PolicyBundle> {
    let module = format!("package caracal.authz\nimport rego.v1\n{body}");
    Arc::new(PolicyBundle::new("v").with_module("authz.rego", module))
}

async fn prepare(engine: &RegoEngine, body: &str) -> Result<Arc<dyn PreparedPolicy>, String> {
    match engine.prepare("z-1", bundle(body)).await {
        Ok(policy) => Ok(policy),
        Err(PrepareError::Rejected(error)) => Err(error),
        Err(PrepareError::Unavailable(error)) => panic!("{error}"),
    }
}

async fn evaluate(policy: &dyn PreparedPolicy, path: &str) -> Result<Value, EvaluationError> {
    match policy.evaluate(&input(path)) {
        Evaluation::Ready(result) => result,
        Evaluation::Pending(result) => result.await,
    }
}

#[tokio::test]
async fn evaluates_inputs_on_many_threads() {
    let engine = RegoEngine::new().with_threads(2).with_time_limit(Duration::from_secs(5));
    let body = r#"result := {"path": input.action.path, "n": count(data.grants)} if true"#;
    let module = format!("package caracal.authz\nimport rego.v1\n{body}");
    let bundle =
        PolicyBundle::new("v").with_module("m", module).with_data(json!({ "grants": ["a", "b"] }));
    let policy = engine.prepare("z-1", Arc::new(bundle)).await.unwrap();
    assert!(policy.is_deterministic());
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let policy = &policy;
            threads.spawn(move || {
                for n in 0..500 {
                    let path = format!("/{thread}/{n}");
                    let Evaluation::Ready(result) = policy.evaluate(&input(&path)) else {
                        panic!("the policy has no slow built-in, so the result is ready");
                    };
                    assert_eq!(result.unwrap(), json!({ "path": path, "n": 2 }));
                }
            });
        }
    });
}

#[tokio::test]
async fn rejects_bundle_that_does_not_compile_or_has_no_result() {
    let engine = RegoEngine::new();
    for body in ["result := {", "result := nowhere(1)", "other := 1", "result := 1 result := 2 {"] {
        assert!(prepare(&engine, body).await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn rejects_builtins_of_network_clock_or_randomness() {
    let engine = RegoEngine::new();
    for call in [
        r#"http.send({"method": "get", "url": "http://127.0.0.1"})"#,
        r#"net.lookup_ip_addr("localhost")"#,
        "opa.runtime()",
        r#"rand.intn("x", 6)"#,
        "time.now_ns()",
        r#"uuid.rfc4122("x")"#,
    ] {
        assert!(prepare(&engine, &format!("result := {call}")).await.is_err(), "{call}");
        let hidden = format!("f(x) := {call}\nr contains y if {{ y := f(1) }}\nresult := r");
        assert!(prepare(&engine, &hidden).await.is_err(), "{call}");
    }
}

#[tokio::test]
async fn allowed_builtin_runs_and_makes_policy_nondeterministic() {
    let engine = RegoEngine::new()
        .with_time_limit(Duration::from_secs(5))
        .insecure_allow_builtin("rand.intn");
    let policy = prepare(&engine, r#"result := rand.intn("x", 1)"#).await.unwrap();
    assert!(!policy.is_deterministic());
    assert_eq!(evaluate(&*policy, "/").await, Ok(json!(0)));
}

#[tokio::test]
async fn rejects_recursive_policy() {
    let engine = RegoEngine::new();
    for body in [
        "f(x) := f(x + 1)\nresult := f(1)",
        "f(x) := g(x)\ng(x) := h(x)\nh(x) := f(x)\nresult := f(1)",
        "f(x) := [g(y) | some y in [x]]\ng(x) := f(x)\nresult := f(1)",
        "result := data.caracal.authz.result",
    ] {
        assert!(prepare(&engine, body).await.is_err(), "{body}");
    }
}

/// Evaluates rules, functions, loops in functions, calls and loops that nest this many levels deep.
/// Returns each result, or the reason for a rejection.
async fn nested(levels: usize) -> Vec<Result<Value, String>> {
    let engine = RegoEngine::new().with_threads(1).with_time_limit(Duration::from_secs(30));
    let chain = |rule: fn(usize) -> String, count: usize| -> String {
        (0..count).map(rule).collect::<Vec<_>>().join("\n")
    };
    let (rules, calls, loops) = (levels / 6, levels / 7, levels - 20);
    let bodies = [
        chain(|n| format!("a{n} := a{}", n + 1), rules) + &format!("\na{rules} := 7\nresult := a0"),
        chain(|n| format!("f{n}(x) := f{}(x)", n + 1), calls)
            + &format!("\nf{calls}(x) := x\nresult := f0(7)"),
        chain(|n| format!("f{n}(x) := y if {{ some z in [x]; y := f{}(z) }}", n + 1), levels / 10)
            + &format!("\nf{}(x) := x\nresult := f0(7)", levels / 10),
        format!("result := {}7{}", "abs(\n".repeat(loops), ")\n".repeat(loops)),
        format!("result := 7 if {{\n{}\n}}", "some _ in [1]\n".repeat(loops)),
    ];
    let mut results = Vec::new();
    for body in bodies {
        results.push(match prepare(&engine, &body).await {
            Ok(policy) => evaluate(&*policy, "/").await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        });
    }
    results
}

#[tokio::test]
async fn nesting_fits_on_the_stack_or_is_rejected() {
    for result in nested(200).await {
        assert!(result == Ok(json!(7)), "{result:?}");
    }
    for result in nested(2_000).await {
        assert!(result.as_ref().is_err_and(|error| error.contains("levels deep")), "{result:?}");
    }
}

const ENDLESS: &str = r#"
r := [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
result := count([1 | some a in r; some b in r; some c in r; some d in r; some e in r;
    some f in r; some g in r; some h in r; a + b + c + d + e + f + g + h == 0])
"#;

#[tokio::test]
async fn endless_loop_ends_at_the_time_limit() {
    let engine = RegoEngine::new().with_time_limit(Duration::from_millis(20));
    let policy = prepare(&engine, ENDLESS).await.unwrap();
    let began = Instant::now();
    assert_eq!(evaluate(&*policy, "/").await, Err(EvaluationError::TimeLimit));
    assert!(began.elapsed() < Duration::from_secs(10));
    // The policy can be evaluated again, and ends at the time limit again.
    assert_eq!(evaluate(&*policy, "/").await, Err(EvaluationError::TimeLimit));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_does_not_wait_for_one_long_call() {
    let engine = RegoEngine::new().with_threads(1).with_time_limit(Duration::from_millis(50));
    let policy = prepare(&engine, "result := count(numbers.range(1, 3000000))").await.unwrap();
    assert!(matches!(policy.evaluate(&input("/")), Evaluation::Pending(_)));
    // A fast machine may complete the call within the limit.
    let results = [evaluate(&*policy, "/").await, evaluate(&*policy, "/").await];
    for result in results {
        assert!(matches!(result, Err(EvaluationError::TimeLimit) | Ok(_)), "{result:?}");
    }
}

#[tokio::test]
async fn failed_evaluation_does_not_affect_the_next() {
    let engine = RegoEngine::new().with_threads(1).with_time_limit(Duration::from_secs(30));
    let body = r#"
        number(text) := to_number(text)
        n := number(input.action.path)
        result := 1 if { some i in [1, 2]; n == 7 with input.action.path as [input.action.path, "7"][i - 1] }
    "#;
    let policy = prepare(&engine, body).await.unwrap();
    for _ in 0..2 {
        let failed = evaluate(&*policy, "seven").await;
        assert!(matches!(failed, Err(EvaluationError::Failed(_))), "{failed:?}");
        assert_eq!(evaluate(&*policy, "8").await, Ok(json!(1)));
    }
}

#[tokio::test]
async fn undefined_result_is_an_error() {
    let engine = RegoEngine::new().with_time_limit(Duration::from_secs(5));
    let policy = prepare(&engine, r#"result := 1 if input.action.path == "/x""#).await.unwrap();
    assert_eq!(evaluate(&*policy, "/x").await, Ok(json!(1)));
    assert_eq!(evaluate(&*policy, "/y").await, Err(EvaluationError::Undefined));
}

#[tokio::test]
async fn path_from_input_cannot_cause_endless_recursion() {
    let engine = RegoEngine::new().with_time_limit(Duration::from_millis(100));
    let body = r#"
        other := 1
        result := data.caracal[input.action.path]
    "#;
    // The policy is rejected, or its evaluation fails. The process does not crash.
    if let Ok(policy) = prepare(&engine, body).await {
        assert!(evaluate(&*policy, "authz").await.is_err());
    }
}
