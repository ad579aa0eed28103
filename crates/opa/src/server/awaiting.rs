//! An OPA that loads bundles by itself: checks its active revision, and requests decisions.

use http::{Method, StatusCode};
use serde_json::Value;

use super::client::{Answered, Content, OpaServer, answered};
use crate::{EvaluationError, PrepareError};

const QUERY: &str = "/v1/data/caracal/authz/result?provenance=true";

/// Checks in OPA's status that this version is the active revision of the bundle.
pub(super) async fn reached(
    opa: &OpaServer,
    bundle: &str,
    version: &str,
) -> Result<(), PrepareError> {
    let answer = opa.send(Method::GET, "/v1/status", Content::None).await;
    let answer = answer.map_err(PrepareError::Unavailable)?;
    if answer.status != StatusCode::OK {
        return Err(PrepareError::Unavailable(answer.error_text()));
    }
    let body: Value = answer.json().map_err(PrepareError::Unavailable)?;
    let bundles = body.pointer("/result/bundles");
    let status = bundles.and_then(|bundles| bundles.get(bundle));
    let active = status.and_then(|status| status.get("active_revision")).and_then(Value::as_str);
    if active == Some(version) {
        return Ok(());
    }
    let problem = status.and_then(|status| status.get("message")).and_then(Value::as_str);
    Err(PrepareError::Unavailable(format!(
        "the active revision is {active:?}: {}",
        problem.unwrap_or("no error is reported")
    )))
}

/// Requests a decision. Rejects it if OPA decided with another revision of the bundle.
pub(super) async fn request_decision(
    opa: &OpaServer,
    bundle: &str,
    version: &str,
    query: Content<'_>,
) -> Result<Value, EvaluationError> {
    let answer = opa.send(Method::POST, QUERY, query).await;
    let answered: Answered<Value> = answered(answer)?;
    if revision(answered.provenance.as_ref(), bundle) != Some(version) {
        return Err(EvaluationError::OtherVersion);
    }
    answered.result.ok_or(EvaluationError::Undefined)
}

/// Returns the revision of the bundle in the provenance of a response.
fn revision<'a>(provenance: Option<&'a Value>, bundle: &str) -> Option<&'a str> {
    provenance?.get("bundles")?.get(bundle)?.get("revision")?.as_str()
}
