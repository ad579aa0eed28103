//! Compares the embedded engine with OPA: every policy of a corpus with every input.
//!
//! `tests/differential/corpus.jsonl` holds the policies, the inputs and OPA's own results.
//! `exceptions.txt` lists the policies that OPA decides but the engine does not load, and those
//! that fail here for an input that OPA decides. There is no other difference.
//!
//! `tests/differential/live.sh` queries OPA itself, also with policies that are not in the corpus.
//! The test then reads the file that `OPA_CORPUS` names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_opa::{
    Evaluation, EvaluationError, PolicyBundle, PolicyEngine, PolicyInput, PrepareError, Principal,
    RegoEngine, Resource,
};
use serde_json::{Value, json};

const CORPUS: &str = include_str!("../differential/corpus.jsonl");
const EXCEPTIONS: &str = include_str!("../differential/exceptions.txt");

/// Returns a result under the corpus' name for it.
fn named(result: Result<Value, EvaluationError>) -> Value {
    let value = match result {
        Ok(value) => value,
        Err(EvaluationError::Undefined) => return "undefined".into(),
        Err(_) => return "error".into(),
    };
    let plain = |decision: &str, diagnostics: Value| {
        json!({
            "decision": decision, "evaluation_status": "complete",
            "determining_policies": [], "diagnostics": diagnostics,
        })
    };
    for decision in ["allow", "deny"] {
        if value == plain(decision, json!([])) {
            return decision.into();
        }
    }
    let v = &value["diagnostics"][0]["v"];
    if !v.is_null() && value == plain("allow", json!([{ "v": v }])) {
        return json!({ "v": v });
    }
    if value == plain("allow", json!([{ "v": null }])) {
        return json!({ "v": null });
    }
    json!({ "value": value })
}

/// Compares values, with `1.0` equal to `1`.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_same = |(name, one)| other.get(name).is_some_and(|other| same(one, other));
            one.len() == other.len() && one.iter().all(is_same)
        }
        _ => one == other,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decides_as_opa() {
    let other = std::env::var("OPA_CORPUS").ok().map(|file| std::fs::read_to_string(file).unwrap());
    let corpus = other.as_deref().unwrap_or(CORPUS);
    let mut lines = corpus.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let head = lines.next().unwrap();
    let inputs = head["inputs"].as_array().unwrap().iter();
    let inputs: Vec<_> = inputs.map(|i| PolicyInput::from_value(i.clone()).unwrap()).collect();
    assert!(inputs.len() >= 5);
    let engine = RegoEngine::new().with_threads(1).with_time_limit(Duration::from_secs(30));
    let (mut policies, mut differences, mut exceptions) = (0, Vec::new(), BTreeSet::new());
    for case in lines {
        policies += 1;
        let (name, opa) = (case["name"].as_str().unwrap(), &case["opa"]);
        if !cfg!(feature = "time") && name.starts_with("time_") {
            continue;
        }
        let mut data = head["data"].as_object().unwrap().clone();
        data.extend(case["data"].as_object().cloned().unwrap_or_default());
        let mut bundle = PolicyBundle::new("v").with_data(data.into());
        for (name, source) in case["modules"].as_object().unwrap() {
            bundle = bundle.with_module(name, source.as_str().unwrap());
        }
        let policy = match engine.prepare("z-1", Arc::new(bundle)).await {
            Ok(policy) => policy,
            Err(PrepareError::Rejected(error)) => {
                if opa != "refused" {
                    exceptions.insert(format!("{name}: refused, {error}"));
                }
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        for (n, input) in inputs.iter().enumerate() {
            let result = match policy.evaluate(input) {
                Evaluation::Ready(result) => result,
                Evaluation::Pending(result) => result.await,
            };
            let ours = named(result.clone());
            let is_error = opa == "refused" || opa[n] == "error" || opa[n] == "builtin error";
            if same(&ours, &opa[n]) || is_error && ours == "error" {
                continue;
            }
            // Whether OPA reaches the failing call depends on the order of the statements.
            if other.is_some() && opa[n] == "builtin error" {
                continue;
            }
            match result {
                Err(EvaluationError::Failed(error)) => {
                    exceptions.insert(format!("{name}: fails, {error}"));
                }
                _ => differences.push(format!("{name}, input {n}: OPA {}, ours {ours}", opa[n])),
            }
        }
    }
    let recorded: BTreeSet<String> = EXCEPTIONS.lines().map(str::to_owned).collect();
    let exceptions: Vec<_> = exceptions.into_iter().collect();
    assert!(differences.is_empty(), "{}\n{}", exceptions.join("\n"), differences.join("\n"));
    if other.is_some() {
        println!(
            "{policies} policies, {} exceptions:\n{}",
            exceptions.len(),
            exceptions.join("\n")
        );
        return;
    }
    assert_eq!(exceptions, recorded.into_iter().collect::<Vec<_>>(), "exceptions.txt differs");
    assert!(policies >= 300, "{policies}");
}

/// Returns the result of a policy for the principal `app-1`, with data of blocks, grants and users.
/// Returns the engine's error text if the policy does not load.
async fn decided(body: &str) -> Result<Result<Value, EvaluationError>, String> {
    let module = format!("package caracal.authz\nimport rego.v1\n{body}");
    let bundle = PolicyBundle::new("v").with_module("m.rego", module).with_data(json!({
        "blocks": { "app-1": ["fraud"], "app-2": [] }, "grants": { "app-1": ["read", "fraud"] },
        "users": [{ "id": "app-1", "team": "a" }, { "id": "app-2", "team": "b" }],
        "double": [{ "id": "app-1", "team": "a" }, { "id": "app-2", "team": "a" }],
    }));
    let engine = RegoEngine::new().with_threads(1).with_time_limit(Duration::from_secs(30));
    let policy = match engine.prepare("z-1", Arc::new(bundle)).await {
        Ok(policy) => policy,
        Err(PrepareError::Rejected(error)) => return Err(error),
        Err(error) => panic!("{error}"),
    };
    let principal = Principal::new("application", "app-1", "z-1");
    let resource = Resource::new("api", "r-1", "https://api.example").with_scope("read");
    Ok(match policy.evaluate(&PolicyInput::new(&principal, &resource, "invoke").unwrap()) {
        Evaluation::Ready(result) => result,
        Evaluation::Pending(result) => result.await,
    })
}

/// Asserts the result of each body.
async fn each_decides(cases: &[(&str, Result<Value, EvaluationError>)]) {
    for (body, expected) in cases {
        assert_eq!(&decided(body).await.unwrap(), expected, "{body}");
    }
}

const BLOCKED: &str = "blocked[u] contains why if { some u, ws in data.blocks; some why in ws }\n";
const GRANTS: &str = "grants[u] contains w if { some u, ws in data.grants; some w in ws }\n";

#[tokio::test]
async fn denies_principal_of_partial_deny_list() {
    let undefined = Err(EvaluationError::Undefined);
    let body = format!("{BLOCKED}result := 1 if not blocked[input.principal.id]");
    each_decides(&[(&body, undefined.clone())]).await;
    let body = format!("{BLOCKED}result := 1 if not \"fraud\" in blocked[input.principal.id]");
    each_decides(&[(&body, undefined)]).await;
    let body = format!("{BLOCKED}result := 1 if not blocked.nobody");
    each_decides(&[(&body, Ok(json!(1)))]).await;
}

#[tokio::test]
async fn allows_principal_of_partial_grants() {
    let body = format!("{GRANTS}result := 1 if \"fraud\" in grants[input.principal.id]");
    each_decides(&[(&body, Ok(json!(1)))]).await;
    let body = format!("{GRANTS}result := grants");
    each_decides(&[(&body, Ok(json!({ "app-1": ["fraud", "read"] })))]).await;
}

#[tokio::test]
async fn keeps_values_of_heads_with_variables() {
    let user = "some x in data.users; u := x.id; t := x.team";
    let cases = [
        ("p[t][u] contains 1", json!({ "a": { "app-1": [1] }, "b": { "app-2": [1] } })),
        ("p.q[t] contains u", json!({ "q": { "a": ["app-1"], "b": ["app-2"] } })),
        ("p[t].q contains u", json!({ "a": { "q": ["app-1"] }, "b": { "q": ["app-2"] } })),
        ("p[u].team := t", json!({ "app-1": { "team": "a" }, "app-2": { "team": "b" } })),
        (
            "p.by[u].team := t",
            json!({ "by": { "app-1": { "team": "a" }, "app-2": { "team": "b" } } }),
        ),
        ("p[t][u] := 1", json!({ "a": { "app-1": 1 }, "b": { "app-2": 1 } })),
    ];
    for (head, value) in cases {
        let body = format!("{head} if {{ {user} }}\nresult := p");
        each_decides(&[(&body, Ok(value))]).await;
    }
}

#[tokio::test]
async fn uses_function_defaults() {
    let default = "default f(_) := \"none\"\nf(x) := x if x == 1\n";
    for (use_, value) in [("result := f(1)", json!(1)), ("result := f(2)", json!("none"))] {
        each_decides(&[(&format!("{default}{use_}"), Ok(value))]).await;
    }
    let default = "default f(_) := false\nf(x) if x == 1\n";
    let body = format!("{default}result := 1 if not f(2)");
    each_decides(&[(&body, Ok(json!(1)))]).await;
}

#[tokio::test]
async fn fails_on_two_values_for_one_key() {
    for body in [
        "result := {x.team: x.id | some x in data.double}",
        "p[x.team] := x.id if some x in data.double\nresult := p",
        "p[x.team].id := x.id if some x in data.double\nresult := p",
        "f(x) := 1 if x > 0\nf(x) := 2 if x > 1\nresult := 1 if not f(2) == 3",
    ] {
        let result = decided(body).await.unwrap();
        assert!(matches!(result, Err(EvaluationError::Failed(_))), "{body}: {result:?}");
    }
}

#[tokio::test]
async fn negation_with_undefined_operand_is_not_true() {
    for negated in [
        "startswith(input.action.path, \"/admin\")",
        "input.action.path in [\"/admin\"]",
        "data.blocks[input.action.path]",
        "input.action.path != \"/\"",
        "count(input.principal.labels) > 1",
    ] {
        let body = format!("result := 1 if not {negated}");
        each_decides(&[(&body, Err(EvaluationError::Undefined))]).await;
    }
    each_decides(&[("result := 1 if not input.action.path", Ok(json!(1)))]).await;
}

#[tokio::test]
async fn rejects_what_regorus_evaluates_differently() {
    for (body, text) in [
        ("p[k] := 1 if some k in [\"a\"]\np.a := 2\nresult := p", "lies under"),
        ("p := 1\np contains 1\nresult := 1", "two forms"),
        ("default p := 1\ndefault p := 2\nresult := p", "second default"),
        ("result := x if { {\"a\": x} = input }", "pattern"),
        ("f({\"a\": x}) := x\nresult := f(input)", "pattern"),
        ("result := {\"a\": 1, input.action.id: 2}", "not constant"),
        ("f() := 1\nresult := f()", "without arguments"),
        ("result := x if split(\"a\", \"b\", x)", "takes 2"),
        ("result := startswith(\"a\")", "takes 2"),
        ("result := walk(1)", "not known"),
        ("result := json.marshal(1)", "not allowed"),
        ("result := 0.1 + input.n", "fraction"),
        ("result := {1} < input.n", "order"),
        ("result := 1 if not data.users[_].team == \"c\"", "bound nowhere"),
        ("result := 1 if not data.users[i].team == \"c\"", "bound nowhere"),
        ("result := 1 if { every y in [1] { x > y }; some x in [2] }", "before it is declared"),
        ("result := 1 if { some x; input.n }", "not used"),
        ("result := __operand_1 if { __operand_1 := 1 }", "reserved"),
        ("users := 1\nresult := data.caracal.authz[input.action.id]", "uses itself"),
    ] {
        let error = decided(body).await.expect_err(body);
        assert!(error.contains("m.rego") || text == "not allowed", "{body}: {error}");
        assert!(error.contains(text), "{body}: {error}");
    }
    let bundle = PolicyBundle::new("v")
        .with_module("m.rego", "package caracal.authz\nresult := 1 if input.n")
        .with_data(json!({ "caracal": { "authz": { "result": "allow" } } }));
    let result = RegoEngine::new().prepare("z-1", Arc::new(bundle)).await.err();
    let Some(PrepareError::Rejected(error)) = result else { panic!("the policy loads") };
    assert!(error.contains("in the place of this rule"), "{error}");
}
