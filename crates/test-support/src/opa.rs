//! A policy source and a policy engine that a test controls, with helpers for their zone.
//!
//! The helpers panic on an error, as a test would.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use crate::waiting::eventually;
use caracal_revocation_event::{KeyRing, Message, MessageBuilder};
use caracal_revocation_opa::{
    BoxFuture, Evaluation, PolicyBundle, PolicyEngine, PolicyInput, PolicyRequest, PolicySource,
    PrepareError, PreparedPolicy, Principal, Resource, SourceError, ZonePolicies, ZoneStatus,
};
use caracal_revocation_state::{ManualClock, Options, RevocationsWriter};
use serde_json::json;
use tokio::sync::Semaphore;

/// The zone of every test.
pub const ZONE: &str = "z-1";

/// A policy source whose result the test sets.
#[derive(Clone)]
pub struct Script(Arc<Inner>);

struct Inner {
    answer: Mutex<Result<Option<PolicyBundle>, SourceError>>,
    loads: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
    panics: AtomicBool,
    /// The semaphore from which each load takes a permit, if a test has set one.
    gate: Mutex<Option<Arc<Semaphore>>>,
}

impl Script {
    /// Returns a source without a policy.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            answer: Mutex::new(Ok(None)),
            loads: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            panics: AtomicBool::new(false),
            gate: Mutex::new(None),
        }))
    }

    /// Returns this bundle from now on.
    pub fn holds(&self, bundle: PolicyBundle) {
        *self.0.answer.lock().unwrap() = Ok(Some(bundle));
    }

    /// Reports from now on that the zone has no policy.
    pub fn holds_nothing(&self) {
        *self.0.answer.lock().unwrap() = Ok(None);
    }

    /// Returns an error from now on.
    pub fn fails(&self) {
        *self.0.answer.lock().unwrap() = Err(SourceError::new("the database is away"));
    }

    /// Sets whether each load panics.
    pub fn panics(&self, does: bool) {
        self.0.panics.store(does, Ordering::SeqCst);
    }

    /// Makes each load wait for a permit of this semaphore.
    pub fn gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.0.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// Lets all waiting and later loads continue.
    pub fn opens(&self) {
        if let Some(gate) = self.0.gate.lock().unwrap().take() {
            gate.add_permits(1_000_000);
        }
    }

    /// Returns the number of loads.
    pub fn loads(&self) -> usize {
        self.0.loads.load(Ordering::SeqCst)
    }

    /// Returns the largest number of loads at one time.
    pub fn most_running(&self) -> usize {
        self.0.most_running.load(Ordering::SeqCst)
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl PolicySource for Script {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_running.fetch_max(running, Ordering::SeqCst);
        let answer = self.0.answer.lock().unwrap().clone();
        let gate = self.0.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        if self.0.panics.load(Ordering::SeqCst) {
            // Unwinds without a panic message in the test's output.
            std::panic::resume_unwind(Box::new("a bug in the source"));
        }
        answer
    }
}

/// A policy engine that returns the decision in the bundle's data, or `allow` without one. Rejects
/// a bundle with a module named `broken`, and panics if the data has a member `panic`.
#[derive(Clone, Debug, Default)]
pub struct Allowing {
    /// The number of evaluations.
    pub evaluations: Arc<AtomicUsize>,
}

impl PolicyEngine for Allowing {
    fn prepare(
        &self,
        _: &str,
        bundle: Arc<PolicyBundle>,
    ) -> BoxFuture<'static, Result<Arc<dyn PreparedPolicy>, PrepareError>> {
        let evaluations = Arc::clone(&self.evaluations);
        Box::pin(async move {
            if bundle.data().get("panic").is_some() {
                std::panic::resume_unwind(Box::new("a bug in the engine"));
            }
            if bundle.modules().any(|(name, _)| name == "broken") {
                return Err(PrepareError::Rejected("it does not compile".to_owned()));
            }
            let decision = bundle.data().get("decision").cloned().unwrap_or(json!("allow"));
            let deterministic = bundle.data().get("chance").is_none();
            let fixed = Fixed { decision, deterministic, evaluations };
            Ok(Arc::new(fixed) as Arc<dyn PreparedPolicy>)
        })
    }
}

struct Fixed {
    decision: serde_json::Value,
    deterministic: bool,
    evaluations: Arc<AtomicUsize>,
}

impl PreparedPolicy for Fixed {
    fn evaluate(&self, _: &PolicyInput) -> Evaluation {
        self.evaluations.fetch_add(1, Ordering::SeqCst);
        Evaluation::Ready(Ok(json!({
            "decision": self.decision, "evaluation_status": "complete",
            "determining_policies": [], "diagnostics": [],
        })))
    }

    fn is_deterministic(&self) -> bool {
        self.deterministic
    }
}

/// Returns a bundle with one module and a correct digest.
pub fn bundle(version: &str) -> PolicyBundle {
    sealed(PolicyBundle::new(version).with_module("authz.rego", version))
}

/// Returns a bundle that [`Allowing`] rejects.
pub fn broken(version: &str) -> PolicyBundle {
    sealed(PolicyBundle::new(version).with_module("broken", version))
}

/// Returns a bundle with this decision, `allow` or `deny`.
pub fn deciding(version: &str, decision: &str) -> PolicyBundle {
    sealed(PolicyBundle::new(version).with_data(json!({ "decision": decision })))
}

/// Returns the bundle with a correct digest.
pub fn sealed(bundle: PolicyBundle) -> PolicyBundle {
    let digest = bundle.compute_digest();
    bundle.with_digest(digest)
}

/// Returns a state that was just proven complete, and the clock that the test moves.
pub fn fresh() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
    revocations.confirm(revocations.now());
    (revocations, clock)
}

/// Applies an invalidation that was decided and published now, as the follower does.
pub fn invalidate(revocations: &RevocationsWriter, version: &str) {
    invalidate_decided(revocations, version, revocations.now().wall);
}

/// Applies an invalidation that was decided at this time since the Unix epoch.
pub fn invalidate_decided(revocations: &RevocationsWriter, version: &str, decided: Duration) {
    let message = MessageBuilder::policy(ZONE, "ps-1", version);
    let (stream, now) = (message.stream(), revocations.now());
    let fields = message.into_fields(None, std::time::UNIX_EPOCH + decided);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let event = KeyRing::insecure_accept_unsigned().verify(&Message::new(stream, &fields)).unwrap();
    revocations.apply_published(&event, now, now);
}

/// Returns an input of [`ZONE`].
pub fn input() -> PolicyInput {
    input_in(ZONE)
}

/// Returns an input of this zone.
pub fn input_in(zone: &str) -> PolicyInput {
    let principal = Principal::new("application", "app-1", zone);
    let resource = Resource::new("api", "r-1", "https://api.example").with_scope("read");
    PolicyInput::new(&principal, &resource, "invoke").unwrap().with_request("GET", "/")
}

/// Returns the status of [`ZONE`], which must be in use.
pub fn status(policies: &ZonePolicies) -> ZoneStatus {
    policies.status(ZONE).expect("the zone is in use")
}

/// Returns `true` if [`ZONE`] serves this version.
pub fn serves(policies: &ZonePolicies, version: &str) -> bool {
    policies.status(ZONE).and_then(|status| status.version).as_deref() == Some(version)
}
