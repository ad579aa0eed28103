//! The policy of the zone: a file with the sessions that it denies, and the engine that reads it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caracal_revocation::Revocations;
use caracal_revocation::policy::{
    BoxFuture, ClaimsInput, Evaluation, PolicyBundle, PolicyEngine, PolicyInput, PolicyLayer,
    PolicyOptions, PolicyRequest, PolicySource, PrepareError, PreparedPolicy, Resource,
    SourceError, ZonePolicies,
};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The writing side, for publishers.
pub struct PolicyFile {
    path: PathBuf,
    policy: Mutex<Policy>,
}

#[derive(Default)]
struct Policy {
    version: u64,
    denied: Vec<String>,
}

impl PolicyFile {
    pub fn start(folder: &Path) -> Result<Self, Failure> {
        let file = Self { path: folder.join("policy.json"), policy: Mutex::default() };
        file.write(&Policy::default())?;
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Denies one more session. Returns the new version.
    pub fn deny(&self, session: &str) -> Result<String, Failure> {
        let mut policy = self.policy.lock().expect("no thread panics here");
        policy.version += 1;
        policy.denied.push(session.to_owned());
        self.write(&policy)?;
        Ok(policy.version.to_string())
    }

    fn write(&self, policy: &Policy) -> Result<(), Failure> {
        let new = self.path.with_extension("new");
        let version = policy.version.to_string();
        std::fs::write(&new, json!({ "version": version, "denied": policy.denied }).to_string())?;
        Ok(std::fs::rename(new, &self.path)?)
    }
}

/// Returns the layer of a reader whose policy is in this file.
pub fn layer(revocations: Revocations, path: &Path, bound: Duration) -> PolicyLayer {
    let mut options = PolicyOptions::default();
    options.deny_after_invalidation = bound;
    let source = Source(path.to_owned());
    let policies = ZonePolicies::with_options(revocations, source, Engine, options);
    let resource = Resource::new("api", "r-1", "https://api.example");
    PolicyLayer::new(policies, ClaimsInput::new(resource))
}

struct Source(PathBuf);

impl PolicySource for Source {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        let text = std::fs::read_to_string(&self.0).map_err(SourceError::new)?;
        let policy: Value = serde_json::from_str(&text).map_err(SourceError::new)?;
        let version = policy["version"].as_str().unwrap_or_default().to_owned();
        let bundle = PolicyBundle::new(version).with_data(policy);
        let digest = bundle.compute_digest();
        Ok(Some(bundle.with_digest(digest)))
    }
}

#[derive(Debug)]
struct Engine;

impl PolicyEngine for Engine {
    fn prepare(
        &self,
        _: &str,
        bundle: Arc<PolicyBundle>,
    ) -> BoxFuture<'static, Result<Arc<dyn PreparedPolicy>, PrepareError>> {
        let denied = bundle.data()["denied"].as_array().cloned().unwrap_or_default();
        let denied = denied.iter().filter_map(|session| Some(session.as_str()?.to_owned()));
        let prepared: Arc<dyn PreparedPolicy> = Arc::new(Prepared(denied.collect()));
        Box::pin(std::future::ready(Ok(prepared)))
    }
}

struct Prepared(HashSet<String>);

impl PreparedPolicy for Prepared {
    fn evaluate(&self, input: &PolicyInput) -> Evaluation {
        let session = input.as_value()["principal"]["id"].as_str().unwrap_or_default();
        let decision = if self.0.contains(session) { "deny" } else { "allow" };
        Evaluation::Ready(Ok(json!({
            "decision": decision, "evaluation_status": "complete",
            "determining_policies": [], "diagnostics": [],
        })))
    }

    fn is_deterministic(&self) -> bool {
        true
    }
}
