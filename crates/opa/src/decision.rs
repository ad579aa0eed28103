//! The decision contract: the format of a policy's result, and the decision that it gives.

use std::sync::Arc;

use serde_json::Value;

use crate::{EvaluationError, PolicyUnavailable};

/// The decision of a policy about a request.
///
/// The policy layer of `caracal-revocation-layer` puts it into the extensions of each request that
/// it admits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PolicyDecision {
    /// The zone.
    pub zone: Arc<str>,
    /// The version of the policy that decided.
    pub version: Arc<str>,
    /// The digest of that policy: [`PolicyBundle::digest`](crate::PolicyBundle::digest).
    pub digest: Arc<str>,
    /// The digest that this process computed from the modules and the data.
    pub(crate) content: Arc<str>,
    /// Allow or deny.
    pub effect: PolicyEffect,
    /// The policies that determined it, as the policy reports them.
    pub determining_policies: Arc<[Value]>,
    /// The policy's diagnostics.
    pub diagnostics: Arc<[Value]>,
    /// `true` if the decision came from the cache.
    pub cached: bool,
}

/// The reason why there is no decision. The request is then denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecisionError {
    /// The zone's policy cannot be used.
    #[error(transparent)]
    PolicyUnavailable(#[from] PolicyUnavailable),
    /// The evaluation gave neither a complete allow nor a complete deny.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
}

/// The effect of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyEffect {
    /// The request is admitted.
    Allow,
    /// The request is denied.
    Deny,
}

/// A result that conforms to the contract.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyResult {
    pub(crate) effect: PolicyEffect,
    pub(crate) determining_policies: Arc<[Value]>,
    pub(crate) diagnostics: Arc<[Value]>,
}

impl PolicyResult {
    /// Reads a result. Anything but a complete allow or deny is an error, so the request is denied.
    pub(crate) fn read(mut result: Value) -> Result<Self, EvaluationError> {
        let Some(members) = result.as_object_mut() else {
            return Err(EvaluationError::Contract("the result is not an object"));
        };
        match members.get("evaluation_status").and_then(Value::as_str) {
            Some("complete") => {}
            Some("partial") => return Err(EvaluationError::Contract("evaluation_status: partial")),
            Some("error") => return Err(EvaluationError::Contract("evaluation_status: error")),
            _ => return Err(EvaluationError::Contract("evaluation_status")),
        }
        let effect = match members.get("decision").and_then(Value::as_str) {
            Some("allow") => PolicyEffect::Allow,
            Some("deny") => PolicyEffect::Deny,
            _ => return Err(EvaluationError::Contract("decision")),
        };
        let mut objects = |name| match members.remove(name) {
            Some(Value::Array(items)) if items.iter().all(Value::is_object) => Ok(items.into()),
            _ => Err(EvaluationError::Contract(name)),
        };
        let determining_policies = objects("determining_policies")?;
        let diagnostics = objects("diagnostics")?;
        Ok(Self { effect, determining_policies, diagnostics })
    }
}

#[cfg(test)]
mod tests {
    use caracal_test_support::foreign::caracal_file;
    use serde_json::json;

    use super::*;

    /// Returns the schema, or `None` where Caracal's files are missing.
    fn schema() -> Option<jsonschema::Validator> {
        let text = caracal_file("caracal-policy-result-2026-05-20.schema.json")?;
        Some(jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap())
    }

    fn result(decision: &str, status: &str) -> Value {
        json!({
            "decision": decision, "evaluation_status": status,
            "determining_policies": [{ "id": "p-1" }], "diagnostics": [], "more": 1,
        })
    }

    #[test]
    fn reads_a_complete_allow_and_a_complete_deny() {
        for (word, effect) in [("allow", PolicyEffect::Allow), ("deny", PolicyEffect::Deny)] {
            let result = result(word, "complete");
            assert_eq!(PolicyResult::read(result).unwrap().effect, effect);
        }
    }

    #[test]
    fn rejects_incomplete_result() {
        for status in ["partial", "error"] {
            assert!(PolicyResult::read(result("allow", status)).is_err());
        }
    }

    #[test]
    fn schema_allows_complete_and_incomplete_results() {
        let Some(schema) = schema() else { return };
        for decision in ["allow", "deny"] {
            for status in ["complete", "partial", "error"] {
                assert!(schema.is_valid(&result(decision, status)), "{decision} {status}");
            }
        }
    }

    #[test]
    fn reads_the_example_result_of_caracal() {
        let Some(text) = caracal_file("policy-result.allow.valid.json") else { return };
        let example: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(PolicyResult::read(example).unwrap().effect, PolicyEffect::Allow);
    }

    #[test]
    fn rejects_result_that_the_schema_rejects() {
        let mut cases = vec![
            json!(null),
            json!(true),
            json!("allow"),
            json!([]),
            json!({}),
            result("Allow", "complete"),
            result("", "complete"),
            result("allow", "Complete"),
        ];
        for name in ["decision", "evaluation_status", "determining_policies", "diagnostics"] {
            for value in [json!(null), json!(true), json!(["p-1"]), json!({}), json!("x")] {
                let mut case = result("allow", "complete");
                case[name] = value;
                cases.push(case);
            }
            let mut case = result("allow", "complete");
            case.as_object_mut().unwrap().remove(name);
            cases.push(case);
        }
        let schema = schema();
        for case in cases {
            assert!(schema.as_ref().is_none_or(|schema| !schema.is_valid(&case)), "{case}");
            assert!(PolicyResult::read(case.clone()).is_err(), "{case}");
        }
    }
}
