//! The engine that evaluates on OPA servers: one server per zone, which gets pushed bundles or
//! loads them by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

use super::awaiting;
use super::client::{Content, OpaServer, answered};
use super::push::{self, Held};
use crate::engine::BoxFuture;
use crate::{
    Evaluation, EvaluationError, PolicyBundle, PolicyEngine, PolicyInput, PrepareError,
    PreparedPolicy,
};

/// Evaluates policies on OPA servers: requests the value of `data.caracal.authz.result`.
///
/// An OPA server has only one `data.caracal.authz`, so each zone needs its own server. Requests of
/// a zone without a server are denied. There are two ways to get the policy onto the server.
///
/// # Pushing
///
/// This process pushes the bundle: the modules with `PUT /v1/policies/caracal/…`, and the data with
/// `PUT /v1/data/…`. Last, it pushes a module of this crate, `caracal_pushed`, with the digest of
/// the push. Evaluations wait during a push. If a push fails, the bundle before it is restored. If
/// that fails too, the zone's requests are denied until a push succeeds.
///
/// Each decision is requested together with the digest (`POST /v1/data/caracal_pushed/answer`). If
/// the digest differs, OPA was restarted or another process pushed another bundle. The decision is
/// then rejected, and the bundle is pushed again. Other policies and data on the server stay as
/// they are. Use this way for an OPA next to each process: processes that share an OPA deny each
/// other's requests for the time of a push.
///
/// # Awaiting
///
/// The OPA loads bundles by itself. A version counts as loaded once `GET /v1/status` reports it as
/// the active revision of the named bundle. Each response of `POST /v1/data/caracal/authz/result`
/// must come from that revision (`?provenance=true`). The OPA's configuration needs `bundles` and
/// `status` (such as `status.console: true`). Use this way for an OPA that many processes share.
///
/// # Limits
///
/// The time limit of an evaluation is [`OpaServer::with_timeout`]. A built-in that fails makes its
/// expression undefined, as OPA does by default.
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
    zones: HashMap<String, Arc<ZoneServer>>,
}

/// The OPA server of one zone.
#[derive(Debug)]
struct ZoneServer {
    server: OpaServer,
    /// The name of the awaited bundle in OPA's configuration; `None` if this process pushes.
    awaited: Option<String>,
    /// The state of the pushes, locked for writing during a push.
    held: RwLock<Held>,
    next: AtomicU64,
}

/// A version of the policy on an OPA server.
#[derive(Clone)]
struct ServerPolicy {
    opa: Arc<ZoneServer>,
    push: u64,
    version: Arc<str>,
    digest: Arc<str>,
}

impl OpaEngine {
    /// Creates an engine without an OPA server.
    pub fn new() -> Self {
        Self::default()
    }

    /// Evaluates the zone's policy on this OPA, and pushes its bundles there.
    pub fn pushing(self, zone: &str, server: OpaServer) -> Self {
        self.with(zone, server, None)
    }

    /// Evaluates the zone's policy on this OPA, which loads the bundle of this name by itself.
    pub fn awaiting(self, zone: &str, server: OpaServer, bundle: &str) -> Self {
        self.with(zone, server, Some(bundle.to_owned()))
    }

    fn with(mut self, zone: &str, server: OpaServer, awaited: Option<String>) -> Self {
        let (held, next) = (RwLock::default(), AtomicU64::new(1));
        let opa = ZoneServer { server, awaited, held, next };
        self.zones.insert(zone.to_owned(), Arc::new(opa));
        self
    }
}

impl PolicyEngine for OpaEngine {
    fn prepare(
        &self,
        zone: &str,
        bundle: Arc<PolicyBundle>,
    ) -> BoxFuture<'static, Result<Arc<dyn PreparedPolicy>, PrepareError>> {
        let opa = self.zones.get(zone).cloned();
        let is_shared = opa.as_ref().is_some_and(|opa| {
            let same = |other: &&Arc<ZoneServer>| other.server.base == opa.server.base;
            self.zones.values().filter(same).count() > 1
        });
        Box::pin(async move {
            let opa = opa.ok_or_else(|| {
                PrepareError::Rejected("no OPA server is configured for the zone".into())
            })?;
            if is_shared {
                let reason = "another zone uses the same OPA server";
                return Err(PrepareError::Rejected(reason.to_owned()));
            }
            let push = opa.next.fetch_add(1, Ordering::Relaxed);
            let version: Arc<str> = bundle.version().into();
            // The version is part of the digest, so that equal policies of two versions are two
            // pushes.
            let digest: Arc<str> =
                hex::encode(Sha256::digest(format!("{version}\n{}", bundle.compute_digest())))
                    .into();
            match &opa.awaited {
                None => {
                    // In a separate task: a push must end, or be undone, even if the caller stops
                    // waiting.
                    let (pushing, digest) = (Arc::clone(&opa), Arc::clone(&digest));
                    let done = tokio::spawn(async move {
                        push::push(&pushing.server, &pushing.held, bundle, &digest, push).await
                    });
                    done.await.map_err(|error| PrepareError::Unavailable(error.to_string()))??;
                }
                Some(name) => awaiting::reached(&opa.server, name, &version).await?,
            }
            Ok(Arc::new(ServerPolicy { opa, push, version, digest }) as Arc<dyn PreparedPolicy>)
        })
    }
}

impl PreparedPolicy for ServerPolicy {
    fn evaluate(&self, input: &PolicyInput) -> Evaluation {
        #[derive(Serialize)]
        struct Query<'a> {
            input: &'a Value,
        }
        let policy = self.clone();
        let query = Content::json(&Query { input: input.as_value() });
        Evaluation::Pending(Box::pin(async move {
            let timeout = policy.opa.server.timeout;
            let decision = async {
                match &policy.opa.awaited {
                    None => policy.request_pushed_decision(query).await,
                    Some(bundle) => {
                        awaiting::request_decision(
                            &policy.opa.server,
                            bundle,
                            &policy.version,
                            query,
                        )
                        .await
                    }
                }
            };
            tokio::time::timeout(timeout, decision).await.unwrap_or(Err(EvaluationError::TimeLimit))
        }))
    }

    fn is_lost(&self) -> bool {
        let held = self.opa.held.try_read();
        self.opa.awaited.is_none() && held.is_ok_and(|held| held.push.is_none())
    }
}

/// The value of `answer` in the module that describes the push.
#[derive(Deserialize)]
struct Pushed {
    digest: String,
    result: Value,
}

impl ServerPolicy {
    async fn request_pushed_decision(&self, query: Content<'_>) -> Result<Value, EvaluationError> {
        let server = &self.opa.server;
        let held = self.opa.held.read().await;
        if held.push != Some(self.push) {
            return Err(EvaluationError::OtherVersion);
        }
        let answer = server.send(Method::POST, push::ANSWER, query).await;
        match answered::<Pushed>(answer)?.result {
            Some(pushed) if *pushed.digest == *self.digest => return Ok(pushed.result),
            Some(_) => {}
            None => match push::has_digest(server, &self.digest).await {
                Ok(true) => return Err(EvaluationError::Undefined),
                Ok(false) => {}
                Err(error) => return Err(EvaluationError::Unreachable(error.to_string())),
            },
        }
        drop(held);
        // Another process pushed, or OPA restarted: the bundle must be pushed again.
        let mut held = self.opa.held.write().await;
        if held.push == Some(self.push) {
            held.push = None;
        }
        Err(EvaluationError::OtherVersion)
    }
}
