//! Pushes a bundle into an OPA, and restores the bundle before it if that fails.
//!
//! A push takes several requests. The OPA may be shared, may restart, or may keep only half of a
//! push. So a push ends with a module of this crate, `caracal_pushed`. Its `digest` exists only
//! while a push is complete, and each decision is requested together with it. Its `names` list the
//! data that a later push must remove, also a push by another process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::RwLock;

use super::client::{Answer, Content, OpaServer};
use crate::{PolicyBundle, PrepareError};

/// The prefix of the ids of all pushed modules.
const PREFIX: &str = "caracal/";

/// The module that describes the push, and the rules in it.
const PUSHED: &str = "caracal/pushed";
const PACKAGE: &str = "caracal_pushed";
pub(super) const ANSWER: &str = "/v1/data/caracal_pushed/answer";
const DIGEST: &str = "/v1/data/caracal_pushed/digest";
const NAMES: &str = "/v1/data/caracal_pushed/names";

/// Modules by id.
type Modules = BTreeMap<String, String>;

/// The policy that OPA holds, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The push that is in force; `None` while OPA may hold parts of two pushes.
    pub(super) push: Option<u64>,
    /// The bundle of that push, with its digest.
    bundle: Option<(Arc<PolicyBundle>, Arc<str>)>,
}

/// Pushes this bundle. If that fails, restores the bundle before it.
pub(super) async fn push(
    opa: &OpaServer,
    held: &RwLock<Held>,
    bundle: Arc<PolicyBundle>,
    digest: &str,
    push: u64,
) -> Result<(), PrepareError> {
    let mut held = held.write().await;
    let before = std::mem::take(&mut *held);
    match replace(opa, &bundle, digest).await {
        Ok(()) => {
            *held = Held { push: Some(push), bundle: Some((bundle, digest.into())) };
            Ok(())
        }
        Err(error) => {
            // If restoring fails too, the zone is denied.
            if let (Some((good, digest)), Some(_)) = (&before.bundle, before.push)
                && replace(opa, good, digest).await.is_ok()
            {
                *held = before;
            }
            Err(error)
        }
    }
}

async fn replace(opa: &OpaServer, new: &PolicyBundle, digest: &str) -> Result<(), PrepareError> {
    let modules = modules(new);
    let data = new.data().as_object().ok_or_else(|| rejected("the data is not an object"))?;
    let names: BTreeSet<&str> = data.keys().map(String::as_str).collect();
    if names.contains(PACKAGE) {
        return Err(rejected("the top-level name caracal_pushed in the data is reserved"));
    }
    // Checked before anything changes, so that a push does not fail half-way.
    let paths = data.iter().map(|(name, value)| Ok((data_path(name)?, value)));
    let paths: Vec<_> = paths.collect::<Result<_, PrepareError>>()?;
    if self::digest(opa).await?.as_deref() == Some(digest) && policies(opa).await? == modules {
        return Ok(());
    }
    // From here until the push is complete there is no digest, so no decision is accepted.
    let known: Option<BTreeSet<String>> = value(opa, NAMES).await?;
    let known = known.unwrap_or_default();
    let all = known.iter().map(String::as_str).chain(names.iter().copied()).collect();
    put_module(opa, PUSHED, &pushed(&all, None)).await?;
    clear(opa).await?;
    for name in known.iter().filter(|name| !names.contains(name.as_str())) {
        let answer = opa.send(Method::DELETE, &data_path(name)?, Content::None).await;
        check_deleted(answer.map_err(unavailable)?)?;
    }
    for (path, value) in paths {
        let answer = opa.send(Method::PUT, &path, Content::json(value)).await;
        check_success(answer.map_err(unavailable)?)?;
    }
    put_modules(opa, &modules).await?;
    put_module(opa, PUSHED, &pushed(&names, Some(digest))).await?;
    // Another process may have pushed at the same time.
    if policies(opa).await? == modules {
        return Ok(());
    }
    put_module(opa, PUSHED, &pushed(&names, None)).await?;
    Err(unavailable("another process pushed to the same OPA at the same time".to_owned()))
}

/// Returns `true` if OPA holds the whole push with this digest. After a restart it does not.
pub(super) async fn has_digest(opa: &OpaServer, digest: &str) -> Result<bool, PrepareError> {
    Ok(self::digest(opa).await?.as_deref() == Some(digest))
}

async fn digest(opa: &OpaServer) -> Result<Option<String>, PrepareError> {
    value(opa, DIGEST).await
}

/// Returns the text of the module that describes the push. Names and digests need no escapes.
fn pushed(names: &BTreeSet<&str>, digest: Option<&str>) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let mut module = format!("package {PACKAGE}\n\nnames := [{}]\n", names.join(", "));
    if let Some(digest) = digest {
        let _ = write!(
            module,
            "\ndigest := \"{digest}\"\n\n\
             answer := {{\"digest\": digest, \"result\": data.caracal.authz.result}}\n"
        );
    }
    module
}

/// Puts the modules. OPA compiles at each step, and a module may need a later one: failed modules
/// are retried as long as others succeed.
async fn put_modules(opa: &OpaServer, modules: &Modules) -> Result<(), PrepareError> {
    let mut left: Vec<_> = modules.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        let mut why = None;
        let mut failed = Vec::new();
        for (id, source) in left {
            match put_module(opa, id, source).await {
                Err(PrepareError::Rejected(text)) => {
                    failed.push((id, source));
                    why.get_or_insert(text);
                }
                other => other?,
            }
        }
        if failed.len() == before {
            return Err(PrepareError::Rejected(why.unwrap_or_default()));
        }
        left = failed;
    }
    Ok(())
}

/// Deletes the modules of earlier pushes, also of other processes. OPA does not delete a module
/// that another one needs: failed deletions are retried as long as others succeed.
async fn clear(opa: &OpaServer) -> Result<(), PrepareError> {
    let mut left: Vec<String> = policies(opa).await?.into_keys().collect();
    while !left.is_empty() {
        let before = left.len();
        let mut failed = Vec::new();
        let mut why = None;
        for id in left {
            let answer = opa.send(Method::DELETE, &policy_path(&id), Content::None).await;
            match check_deleted(answer.map_err(unavailable)?) {
                Err(PrepareError::Rejected(text)) => {
                    failed.push(id);
                    why.get_or_insert(text);
                }
                other => other?,
            }
        }
        if failed.len() == before {
            // Modules of other owners need them, so the new bundle is not at fault.
            return Err(unavailable(why.unwrap_or_default()));
        }
        left = failed;
    }
    Ok(())
}

async fn put_module(opa: &OpaServer, id: &str, source: &str) -> Result<(), PrepareError> {
    let answer = opa.send(Method::PUT, &policy_path(id), Content::Rego(source)).await;
    check_success(answer.map_err(unavailable)?)
}

/// Returns the pushed modules, of all processes, without the one that describes the push.
async fn policies(opa: &OpaServer) -> Result<Modules, PrepareError> {
    #[derive(Deserialize)]
    struct List {
        result: Vec<Policy>,
    }
    #[derive(Deserialize)]
    struct Policy {
        id: String,
        raw: String,
    }
    let answer = opa.send(Method::GET, "/v1/policies", Content::None).await.map_err(unavailable)?;
    let list: List = read(&answer)?;
    let ours = |policy: &Policy| policy.id.starts_with(PREFIX) && policy.id != PUSHED;
    let ours = list.result.into_iter().filter(ours);
    Ok(ours.map(|policy| (policy.id, policy.raw)).collect())
}

/// Reads a value of the module that describes the push.
async fn value<T: DeserializeOwned>(
    opa: &OpaServer,
    path: &str,
) -> Result<Option<T>, PrepareError> {
    #[derive(Deserialize)]
    struct Document<T> {
        result: Option<T>,
    }
    let answer = opa.send(Method::GET, path, Content::None).await.map_err(unavailable)?;
    Ok(read::<Document<T>>(&answer)?.result)
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, PrepareError> {
    if answer.status != StatusCode::OK {
        return Err(unavailable(answer.error_text()));
    }
    answer.json().map_err(unavailable)
}

fn check_deleted(answer: Answer) -> Result<(), PrepareError> {
    if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { check_success(answer) }
}

/// Checks for success. Status 400, and data in the place of a rule, are errors of the bundle. Any
/// other failure is OPA's.
fn check_success(answer: Answer) -> Result<(), PrepareError> {
    match answer.status {
        status if status.is_success() => Ok(()),
        StatusCode::BAD_REQUEST => Err(PrepareError::Rejected(answer.error_text())),
        StatusCode::NOT_FOUND if answer.code() == "resource_conflict" => {
            Err(PrepareError::Rejected(answer.error_text()))
        }
        _ => Err(unavailable(answer.error_text())),
    }
}

fn unavailable(text: String) -> PrepareError {
    PrepareError::Unavailable(text)
}

fn rejected(text: &str) -> PrepareError {
    PrepareError::Rejected(text.to_owned())
}

fn modules(bundle: &PolicyBundle) -> Modules {
    let id = |name| format!("{PREFIX}module/{}", segment(name));
    bundle.modules().map(|(name, source)| (id(name), source.to_owned())).collect()
}

fn policy_path(id: &str) -> String {
    format!("/v1/policies/{id}")
}

/// Returns the path of a top-level name. OPA and proxies differ in how often they decode a path, so
/// names with escapes are rejected.
fn data_path(name: &str) -> Result<String, PrepareError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(rejected(
            "a top-level name of the data has characters other than letters, digits, _ and -",
        ));
    }
    Ok(format!("/v1/data/{name}"))
}

/// Writes a name as one path segment. Every special byte is escaped, so that a name cannot leave
/// the segment and two names never become equal.
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
