//! The engine: one OPA server for each zone, which is pushed to or awaited.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::client::{Content, OpaServer};
use super::{push, revision};
use crate::engine::BoxFuture;
use crate::{
    Evaluation, EvaluationError, PolicyBundle, PolicyEngine, PolicyInput, PrepareError,
    PreparedPolicy,
};

const QUERY: &str = "/v1/data/caracal/authz/result";

/// Lets OPA servers decide, through `POST /v1/data/caracal/authz/result`.
///
/// An OPA has one `data.caracal.authz`, so each zone has an OPA of its own; requests of zones
/// that have none are denied. Either this process
///
/// - *pushes*: modules by `PUT /v1/policies/…`, data by `PUT /v1/data/…`. That takes several
///   requests, so evaluations wait while it lasts; a push that fails is taken back, and if that
///   fails too the zone is denied until one succeeds. What the OPA holds besides is its own
///   business. Only one zone may be pushed to an OPA; processes that share one push
///   the same. An OPA that restarts empty is pushed to again.
/// - or *awaits*: the OPA loads bundles by itself, and a version counts as loaded once
///   `GET /v1/status` reports it as the active revision of the named bundle. Each answer must then
///   come from that revision (`?provenance=true`). Better for an OPA that many processes share.
///
/// ```
/// use caracal_revocation_opa::{OpaEngine, OpaServer};
/// let engine = OpaEngine::new()
///     .pushing("z-1", OpaServer::new("http://127.0.0.1:8181")?)
///     .awaiting("z-2", OpaServer::new("http://127.0.0.1:8182")?, "authz");
/// # drop(engine);
/// # Ok::<(), caracal_revocation_opa::OpaServerError>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct OpaEngine {
    zones: HashMap<String, Arc<Post>>,
}

/// One zone's OPA.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) server: OpaServer,
    /// The bundle that is awaited, by the name that OPA's configuration gives it.
    awaited: Option<String>,
    /// Held for writing while a push changes what OPA holds.
    pub(super) held: RwLock<Held>,
    next: AtomicU64,
}

/// What this process knows of the policy that OPA holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The push that is in force; none while OPA may hold a mixture.
    pub(super) push: Option<u64>,
    pub(super) bundle: Option<Arc<PolicyBundle>>,
}

/// A version at an OPA.
#[derive(Clone)]
struct Posted {
    post: Arc<Post>,
    zone: String,
    push: u64,
    version: String,
}

impl OpaEngine {
    /// An engine without any OPA.
    pub fn new() -> Self {
        Self::default()
    }

    /// The zone is decided by this OPA, to which its bundle is pushed.
    pub fn pushing(self, zone: &str, server: OpaServer) -> Self {
        self.with(zone, server, None)
    }

    /// The zone is decided by this OPA, which loads a bundle of this name by itself.
    pub fn awaiting(self, zone: &str, server: OpaServer, bundle: &str) -> Self {
        self.with(zone, server, Some(bundle.to_owned()))
    }

    fn with(mut self, zone: &str, server: OpaServer, awaited: Option<String>) -> Self {
        let (held, next) = (RwLock::default(), AtomicU64::new(1));
        let post = Post { server, awaited, held, next };
        self.zones.insert(zone.to_owned(), Arc::new(post));
        self
    }
}

impl PolicyEngine for OpaEngine {
    fn prepare(
        &self,
        zone: &str,
        bundle: Arc<PolicyBundle>,
    ) -> BoxFuture<'static, Result<Arc<dyn PreparedPolicy>, PrepareError>> {
        let post = self.zones.get(zone).cloned();
        let is_shared = post.as_ref().is_some_and(|post| {
            let same = |other: &&Arc<Post>| other.server.base == post.server.base;
            self.zones.values().filter(same).count() > 1
        });
        let zone = zone.to_owned();
        Box::pin(async move {
            let post = post.ok_or_else(|| PrepareError::Refused("the zone has no OPA".into()))?;
            if is_shared {
                let words = "another zone has the same OPA";
                return Err(PrepareError::Refused(words.to_owned()));
            }
            let push = post.next.fetch_add(1, Ordering::Relaxed);
            let version = bundle.version().to_owned();
            match &post.awaited {
                None => {
                    // In a task of its own: a push that nobody waits for any more must still
                    // come to an end, or be taken back.
                    let (pushing, zone) = (Arc::clone(&post), zone.clone());
                    let done =
                        tokio::spawn(
                            async move { push::push(&pushing, &zone, bundle, push).await },
                        );
                    done.await.map_err(|error| PrepareError::Unavailable(error.to_string()))??;
                }
                Some(name) => revision::reached(&post.server, name, &version).await?,
            }
            Ok(Arc::new(Posted { post, zone, push, version }) as Arc<dyn PreparedPolicy>)
        })
    }
}

impl PreparedPolicy for Posted {
    fn evaluate(&self, input: &PolicyInput) -> Evaluation {
        let posted = self.clone();
        let body = json!({ "input": input.as_value() });
        Evaluation::Pending(Box::pin(async move {
            let asked = tokio::time::timeout(posted.post.server.timeout, posted.ask(&body));
            asked.await.unwrap_or(Err(EvaluationError::TimeLimit))
        }))
    }

    fn is_lost(&self) -> bool {
        let held = self.post.held.try_read();
        self.post.awaited.is_none() && held.is_ok_and(|held| held.push.is_none())
    }
}

impl Posted {
    async fn ask(&self, body: &Value) -> Result<Value, EvaluationError> {
        let server = &self.post.server;
        let Some(bundle) = &self.post.awaited else {
            let held = self.post.held.read().await;
            if held.push != Some(self.push) {
                return Err(EvaluationError::OtherVersion);
            }
            let answer = server.send(Method::POST, QUERY, Content::Json(body)).await;
            let result = result(answer.map_err(EvaluationError::Unreachable)?.checked()?);
            drop(held);
            return match result {
                Err(EvaluationError::Undefined) => Err(self.why_undefined().await),
                result => result,
            };
        };
        let query = format!("{QUERY}?provenance=true");
        let answer = server.send(Method::POST, &query, Content::Json(body)).await;
        let body = answer.map_err(EvaluationError::Unreachable)?.checked()?;
        if revision::of_answer(&body, bundle) != Some(self.version.as_str()) {
            return Err(EvaluationError::OtherVersion);
        }
        result(body)
    }

    /// A restarted OPA has forgotten what was pushed to it: it must be pushed again.
    async fn why_undefined(&self) -> EvaluationError {
        match push::is_there(&self.post.server, &self.zone).await {
            Ok(false) => {
                let mut held = self.post.held.write().await;
                if held.push == Some(self.push) {
                    held.push = None;
                }
                EvaluationError::OtherVersion
            }
            _ => EvaluationError::Undefined,
        }
    }
}

/// Without a `result` the query is undefined.
fn result(mut body: Value) -> Result<Value, EvaluationError> {
    let result = body.as_object_mut().and_then(|body| body.remove("result"));
    result.ok_or(EvaluationError::Undefined)
}

impl super::client::Answer {
    fn checked(self) -> Result<Value, EvaluationError> {
        match self.status {
            StatusCode::OK => Ok(self.body),
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_REQUEST => {
                Err(EvaluationError::Failed(self.words()))
            }
            _ => Err(EvaluationError::Unreachable(self.words())),
        }
    }
}
