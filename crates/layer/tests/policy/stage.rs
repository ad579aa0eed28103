//! A source and an engine that do as a test says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use caracal_revocation_event::{KeyRing, Message, Notice};
use caracal_revocation_opa::{
    BoxFuture, Evaluation, PolicyBundle, PolicyEngine, PolicyInput, PolicyRequest, PolicySource,
    PrepareError, PreparedPolicy, SourceError, ZonePolicies, ZoneStatus,
};
use caracal_revocation_state::{ManualClock, Options, RevocationsWriter};
use serde_json::json;

pub(crate) const ZONE: &str = "z-1";

/// Answers what it was told to.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<Result<Option<PolicyBundle>, SourceError>>>);

impl Script {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Ok(None))))
    }

    pub(crate) fn holds(&self, bundle: PolicyBundle) {
        *self.0.lock().unwrap() = Ok(Some(bundle));
    }

    pub(crate) fn fails(&self) {
        *self.0.lock().unwrap() = Err(SourceError::new("the database is away"));
    }
}

impl PolicySource for Script {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        self.0.lock().unwrap().clone()
    }
}

/// Decides what the bundle's data say, at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowing {
    pub(crate) evaluations: Arc<AtomicUsize>,
}

impl PolicyEngine for Allowing {
    fn prepare(
        &self,
        _: &str,
        bundle: Arc<PolicyBundle>,
    ) -> BoxFuture<'static, Result<Arc<dyn PreparedPolicy>, PrepareError>> {
        let decision = bundle.data().get("decision").cloned().unwrap_or(json!("allow"));
        let deterministic = bundle.data().get("chance").is_none();
        let evaluations = Arc::clone(&self.evaluations);
        let fixed: Arc<dyn PreparedPolicy> =
            Arc::new(Fixed { decision, deterministic, evaluations });
        Box::pin(std::future::ready(Ok(fixed)))
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

/// A bundle with its right digest.
pub(crate) fn bundle(version: &str) -> PolicyBundle {
    sealed(PolicyBundle::new(version).with_module("authz.rego", version))
}

pub(crate) fn deciding(version: &str, decision: &str) -> PolicyBundle {
    sealed(PolicyBundle::new(version).with_data(json!({ "decision": decision })))
}

pub(crate) fn sealed(bundle: PolicyBundle) -> PolicyBundle {
    let digest = bundle.compute_digest();
    bundle.with_digest(digest)
}

/// A state that was just proven complete, on a clock that stands still.
pub(crate) fn fresh() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
    revocations.confirm(revocations.now());
    (revocations, clock)
}

/// As the follower does when it reads `policy.invalidate`, decided and published now.
pub(crate) fn invalidate(revocations: &RevocationsWriter, version: &str) {
    let notice = Notice::policy(ZONE, "ps-1", version);
    let (stream, now) = (notice.stream(), revocations.now());
    let fields = notice.into_fields(None, std::time::UNIX_EPOCH + now.wall);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let event = KeyRing::insecure_accept_unsigned().verify(&Message::new(stream, &fields)).unwrap();
    revocations.apply_published(&event, now, now);
}

pub(crate) fn status(policies: &ZonePolicies) -> ZoneStatus {
    policies.status(ZONE).expect("the zone is in use")
}

pub(crate) fn serves(policies: &ZonePolicies, version: &str) -> bool {
    policies.status(ZONE).and_then(|status| status.version).as_deref() == Some(version)
}

/// Asks again and again until it is so; also where the runtime's time is only told.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
