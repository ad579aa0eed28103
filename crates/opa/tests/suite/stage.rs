//! A source and an engine that do as a test says, and the questions that tests ask.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use caracal_revocation_event::{KeyRing, Message, Notice};
use caracal_revocation_opa::{
    BoxFuture, Evaluation, PolicyBundle, PolicyEngine, PolicyInput, PolicyRequest, PolicySource,
    PrepareError, PreparedPolicy, Principal, Resource, SourceError, ZonePolicies, ZoneStatus,
};
use caracal_revocation_state::{ManualClock, Options, RevocationsWriter};
use serde_json::json;
use tokio::sync::Semaphore;

pub(crate) const ZONE: &str = "z-1";

/// Answers what it was told to.
#[derive(Clone)]
pub(crate) struct Script(Arc<Inner>);

struct Inner {
    answer: Mutex<Result<Option<PolicyBundle>, SourceError>>,
    loads: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
    panics: AtomicBool,
    /// A load takes one of these, where there is a gate.
    gate: Mutex<Option<Arc<Semaphore>>>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            answer: Mutex::new(Ok(None)),
            loads: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            panics: AtomicBool::new(false),
            gate: Mutex::new(None),
        }))
    }

    pub(crate) fn holds(&self, bundle: PolicyBundle) {
        *self.0.answer.lock().unwrap() = Ok(Some(bundle));
    }

    pub(crate) fn holds_nothing(&self) {
        *self.0.answer.lock().unwrap() = Ok(None);
    }

    pub(crate) fn fails(&self) {
        *self.0.answer.lock().unwrap() = Err(SourceError::new("the database is away"));
    }

    pub(crate) fn panics(&self, does: bool) {
        self.0.panics.store(does, Ordering::SeqCst);
    }

    pub(crate) fn gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.0.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    pub(crate) fn opens(&self) {
        if let Some(gate) = self.0.gate.lock().unwrap().take() {
            gate.add_permits(1_000_000);
        }
    }

    pub(crate) fn loads(&self) -> usize {
        self.0.loads.load(Ordering::SeqCst)
    }

    pub(crate) fn most_running(&self) -> usize {
        self.0.most_running.load(Ordering::SeqCst)
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
            // A panic without words in the test's output.
            std::panic::resume_unwind(Box::new("a bug in the source"));
        }
        answer
    }
}

/// Always allows; refuses a bundle with a module of the name `broken`.
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
        let evaluations = Arc::clone(&self.evaluations);
        Box::pin(async move {
            if bundle.data().get("panic").is_some() {
                std::panic::resume_unwind(Box::new("a bug in the engine"));
            }
            if bundle.modules().any(|(name, _)| name == "broken") {
                return Err(PrepareError::Refused("it does not compile".to_owned()));
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

/// A bundle with its right digest.
pub(crate) fn bundle(version: &str) -> PolicyBundle {
    sealed(PolicyBundle::new(version).with_module("authz.rego", version))
}

pub(crate) fn broken(version: &str) -> PolicyBundle {
    sealed(PolicyBundle::new(version).with_module("broken", version))
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
    invalidate_decided(revocations, version, revocations.now().wall);
}

/// The same, decided at another time since the Unix epoch.
pub(crate) fn invalidate_decided(
    revocations: &RevocationsWriter,
    version: &str,
    decided: Duration,
) {
    let notice = Notice::policy(ZONE, "ps-1", version);
    let (stream, now) = (notice.stream(), revocations.now());
    let fields = notice.into_fields(None, std::time::UNIX_EPOCH + decided);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let event = KeyRing::insecure_accept_unsigned().verify(&Message::new(stream, &fields)).unwrap();
    revocations.apply_published(&event, now, now);
}

pub(crate) fn input() -> PolicyInput {
    input_in(ZONE)
}

pub(crate) fn input_in(zone: &str) -> PolicyInput {
    let principal = Principal::new("application", "app-1", zone);
    let resource = Resource::new("api", "r-1", "https://api.example").with_scope("read");
    PolicyInput::new(&principal, &resource, "invoke").unwrap().with_request("GET", "/")
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
