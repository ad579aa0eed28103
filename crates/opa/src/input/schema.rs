//! The schema of a policy input, version 2026-05-20, in code (contract, "Policy input").

use serde_json::Value;

pub(super) const SCHEMA_VERSION: &str = "2026-05-20";

/// An input that the schema does not allow. The text names the invalid part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy input does not match its schema at {0}")]
pub struct InvalidInput(&'static str);

/// The JSON pointer of a part, and the check of its value.
type Part = (&'static str, fn(&Value) -> bool);

/// Checks an input against the schema. A test compares this code with the schema's file.
pub(super) fn check(input: &Value) -> Result<(), InvalidInput> {
    let text = |at: &'static str| match input.pointer(at) {
        Some(Value::String(text)) if !text.is_empty() => Ok(()),
        _ => Err(InvalidInput(at)),
    };
    let optional = |at: &'static str, is: fn(&Value) -> bool| match input.pointer(at) {
        Some(value) if !is(value) => Err(InvalidInput(at)),
        _ => Ok(()),
    };
    if input.get("schema_version").and_then(Value::as_str) != Some(SCHEMA_VERSION) {
        return Err(InvalidInput("/schema_version"));
    }
    for at in [
        "/principal/type",
        "/principal/id",
        "/principal/zone_id",
        "/resource/type",
        "/resource/id",
        "/resource/identifier",
        "/action/id",
    ] {
        text(at)?;
    }
    let scopes = input.pointer("/resource/scopes").filter(|scopes| are_texts(scopes));
    let scopes = scopes.and_then(Value::as_array).ok_or(InvalidInput("/resource/scopes"))?;
    let repeated = |(at, scope)| scopes.iter().take(at).any(|earlier| earlier == scope);
    if scopes.iter().any(|scope| scope == "") || scopes.iter().enumerate().any(repeated) {
        return Err(InvalidInput("/resource/scopes"));
    }
    let required: [Part; 3] = [
        ("/context/actor_claims", Value::is_object),
        ("/context/challenge_resolved", Value::is_boolean),
        ("/context/requested_scopes", are_texts),
    ];
    for (at, is) in required {
        input.pointer(at).filter(|value| is(value)).ok_or(InvalidInput(at))?;
    }
    let is_registration = |value: &Value| matches!(value.as_str(), Some("managed" | "dcr"));
    let is_lifecycle = |value: &Value| matches!(value.as_str(), Some("task" | "service"));
    let optionals: [Part; 22] = [
        ("/principal/registration_method", is_registration),
        ("/principal/agent_session_id", Value::is_string),
        ("/principal/lifecycle", is_lifecycle),
        ("/principal/labels", are_texts),
        ("/action/method", Value::is_string),
        ("/action/path", Value::is_string),
        ("/session", is_null_or_identified),
        ("/delegation_edge", is_null_or_identified),
        ("/delegation_edge/source_session_id", Value::is_string),
        ("/delegation_edge/target_session_id", Value::is_string),
        ("/delegation_edge/issuer_application_id", Value::is_string),
        ("/delegation_edge/receiver_application_id", Value::is_string),
        ("/delegation_edge/resource_id", Value::is_string),
        ("/delegation_edge/scopes", are_texts),
        ("/delegation_edge/edge_version", Value::is_u64),
        ("/delegation_edge/path", are_texts),
        ("/delegation_edge/graph_epoch", Value::is_u64),
        ("/context/subject_claims", Value::is_object),
        ("/context/trace_id", Value::is_string),
        ("/context/session_id", Value::is_string),
        ("/context/agent_session_id", Value::is_string),
        ("/context/delegation_edge_id", Value::is_string),
    ];
    optionals.into_iter().try_for_each(|(at, is)| optional(at, is))
}

fn are_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

fn is_null_or_identified(value: &Value) -> bool {
    let id = value.get("id").and_then(Value::as_str);
    value.is_null() || (value.is_object() && id.is_some_and(|id| !id.is_empty()))
}
