//! Which revision of a bundle an OPA that loads bundles by itself has activated.

use http::{Method, StatusCode};
use serde_json::Value;

use super::client::{Content, OpaServer};
use crate::PrepareError;

/// Whether OPA's status says that the bundle's active revision is this version.
pub(super) async fn reached(
    opa: &OpaServer,
    bundle: &str,
    version: &str,
) -> Result<(), PrepareError> {
    let answer = opa.send(Method::GET, "/v1/status", Content::None).await;
    let answer = answer.map_err(PrepareError::Unavailable)?;
    if answer.status != StatusCode::OK {
        return Err(PrepareError::Unavailable(answer.words()));
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

/// The revision that an answer was made under, by its provenance.
pub(super) fn of_answer<'a>(provenance: Option<&'a Value>, bundle: &str) -> Option<&'a str> {
    provenance?.get("bundles")?.get(bundle)?.get("revision")?.as_str()
}
