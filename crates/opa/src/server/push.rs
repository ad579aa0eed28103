//! A bundle, request by request, into an OPA; and back out again when that fails.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::Value;

use super::client::{Content, OpaServer};
use super::engine::{Held, Post};
use crate::{PolicyBundle, PrepareError};

/// Makes OPA hold this bundle for the zone, or what it held before.
pub(super) async fn push(
    post: &Post,
    zone: &str,
    bundle: Arc<PolicyBundle>,
    push: u64,
) -> Result<(), PrepareError> {
    let mut held = post.held.write().await;
    let before = std::mem::take(&mut *held);
    let outcome = replace(&post.server, zone, before.bundle.as_deref(), &bundle).await;
    match outcome {
        Ok(()) => {
            *held = Held { push: Some(push), bundle: Some(bundle) };
            Ok(())
        }
        Err(error) => {
            // What was in force before is put back; where that fails, the zone is denied.
            if let (Some(good), Some(_)) = (&before.bundle, before.push)
                && replace(&post.server, zone, Some(&bundle), good).await.is_ok()
            {
                *held = before;
            } else {
                held.bundle = Some(bundle);
            }
            Err(error)
        }
    }
}

async fn replace(
    opa: &OpaServer,
    zone: &str,
    old: Option<&PolicyBundle>,
    new: &PolicyBundle,
) -> Result<(), PrepareError> {
    let prefix = prefix(zone);
    // Also what an earlier process, or a push that broke off, has left there.
    for id in policies(opa).await? {
        if id.starts_with(&prefix) {
            expect(opa, Method::DELETE, &policy_path(&id), Content::None).await?;
        }
    }
    let members = new
        .data()
        .as_object()
        .ok_or_else(|| PrepareError::Refused("the data is not an object".to_owned()))?;
    let gone = old.and_then(|old| old.data().as_object()).into_iter().flatten();
    for (name, _) in gone.filter(|(name, _)| !members.contains_key(*name)) {
        let path = data_path(name)?;
        let answer = opa.send(Method::DELETE, &path, Content::None).await.map_err(away)?;
        if !answer.status.is_success() && answer.status != StatusCode::NOT_FOUND {
            return Err(away(answer.words()));
        }
    }
    for (name, value) in members {
        let path = data_path(name)?;
        expect(opa, Method::PUT, &path, Content::Json(value)).await?;
    }
    put_modules(opa, &prefix, new).await
}

/// OPA compiles at each step, and a module may need one that comes later: those that fail are
/// tried again as long as others succeed.
async fn put_modules(
    opa: &OpaServer,
    prefix: &str,
    bundle: &PolicyBundle,
) -> Result<(), PrepareError> {
    let mut left: Vec<(&str, &str)> = bundle.modules().collect();
    while !left.is_empty() {
        let before = left.len();
        let mut failed = Vec::new();
        let mut why = None;
        for (name, source) in left {
            let id = format!("{prefix}{}", segment(name));
            match expect(opa, Method::PUT, &policy_path(&id), Content::Rego(source)).await {
                Ok(_) => {}
                Err(PrepareError::Refused(words)) => {
                    failed.push((name, source));
                    why.get_or_insert(words);
                }
                Err(away) => return Err(away),
            }
        }
        if failed.len() == before {
            return Err(PrepareError::Refused(why.unwrap_or_default()));
        }
        left = failed;
    }
    Ok(())
}

/// Whether OPA still has anything of what was pushed for the zone; a restarted one has not.
pub(super) async fn is_there(opa: &OpaServer, zone: &str) -> Result<bool, PrepareError> {
    let prefix = prefix(zone);
    Ok(policies(opa).await?.iter().any(|id| id.starts_with(&prefix)))
}

async fn policies(opa: &OpaServer) -> Result<Vec<String>, PrepareError> {
    let body = expect(opa, Method::GET, "/v1/policies", Content::None).await?;
    let list = body.get("result").and_then(Value::as_array).into_iter().flatten();
    Ok(list.filter_map(|policy| policy.get("id")?.as_str().map(str::to_owned)).collect())
}

/// A 400 is the bundle's fault, whatever else is no success is OPA's.
async fn expect(
    opa: &OpaServer,
    method: Method,
    path: &str,
    content: Content<'_>,
) -> Result<Value, PrepareError> {
    let answer = opa.send(method, path, content).await.map_err(away)?;
    match answer.status {
        status if status.is_success() => Ok(answer.body),
        StatusCode::BAD_REQUEST => Err(PrepareError::Refused(answer.words())),
        _ => Err(away(answer.words())),
    }
}

fn away(words: String) -> PrepareError {
    PrepareError::Unavailable(words)
}

fn policy_path(id: &str) -> String {
    format!("/v1/policies/{id}")
}

/// OPA and proxies differ in how often they decode a path: names that would need it are refused.
fn data_path(name: &str) -> Result<String, PrepareError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_plain) {
        let words = "a top-level name of the data holds more than letters, digits, _ and -";
        return Err(PrepareError::Refused(words.to_owned()));
    }
    Ok(format!("/v1/data/{name}"))
}

/// What the ids of the zone's modules begin with.
fn prefix(zone: &str) -> String {
    format!("caracal/{}/", segment(zone))
}

/// A path segment: whatever is not plain is written as its bytes, so that no name can leave its
/// place or be taken for another.
fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "_{byte:02x}");
        }
    }
    segment
}
