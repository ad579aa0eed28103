//! The embedded engine beside OPA: every policy of a corpus with every input, through both.
//!
//! `tests/differential/corpus.jsonl` holds the policies, the inputs and OPA's own answers. In
//! `exceptions.txt` stand the policies that OPA decides and the engine refuses to load, and those
//! where it fails for an input that OPA decides. There is no other difference.
//!
//! `tests/differential/live.sh` asks OPA itself, also about policies that are not kept: the test
//! then reads the file that `OPA_CORPUS` names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_opa::{
    Evaluation, EvaluationError, PolicyBundle, PolicyEngine, PolicyInput, PrepareError, RegoEngine,
};
use serde_json::{Value, json};

const CORPUS: &str = include_str!("../differential/corpus.jsonl");
const EXCEPTIONS: &str = include_str!("../differential/exceptions.txt");

/// A result by the names that the corpus has for it.
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
        let mut data = head["data"].as_object().unwrap().clone();
        data.extend(case["data"].as_object().cloned().unwrap_or_default());
        let mut bundle = PolicyBundle::new("v").with_data(data.into());
        for (name, source) in case["modules"].as_object().unwrap() {
            bundle = bundle.with_module(name, source.as_str().unwrap());
        }
        let policy = match engine.prepare("z-1", Arc::new(bundle)).await {
            Ok(policy) => policy,
            Err(PrepareError::Refused(words)) => {
                if opa != "refused" {
                    exceptions.insert(format!("{name}: refused, {words}"));
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
            if opa == "refused" && ours == "error" || ours == opa[n] {
                continue;
            }
            match result {
                Err(EvaluationError::Failed(words)) => {
                    exceptions.insert(format!("{name}: fails, {words}"));
                }
                _ => differences.push(format!("{name}, input {n}: OPA {}, ours {ours}", opa[n])),
            }
        }
    }
    let told: BTreeSet<String> = EXCEPTIONS.lines().map(str::to_owned).collect();
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
    assert_eq!(exceptions, told.into_iter().collect::<Vec<_>>(), "exceptions.txt says otherwise");
    assert!(policies >= 300, "{policies}");
}
