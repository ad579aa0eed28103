//! The policies of every zone in use, and the entry point for decisions.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use caracal_revocation_state::Revocations;

use crate::cache::{Decisions, Key};
use crate::decision::PolicyResult;
use crate::loader::LoaderContext;
use crate::metrics::Metrics;
use crate::policy_state::LoadedPolicy;
use crate::zone::Zone;
use crate::zones::{Zones, ZonesOwner};
use crate::{
    BoxFuture, DecisionError, Evaluation, EvaluationError, PolicyDecision, PolicyEngine,
    PolicyInput, PolicyOptions, PolicySource, PolicyUnavailable, ZoneStatus,
};

/// The policies of every zone in use. Clones share them. Dropping the last clone ends the loading.
///
/// The crate's documentation has an example. Each zone that a request asks for has one task. The
/// task loads the zone's policy at once, after every invalidation that [`Revocations`] reports, on
/// a safety poll, and on demand. Requests read the loaded policy without a lock.
#[derive(Clone)]
pub struct ZonePolicies {
    owner: Arc<ZonesOwner>,
    /// The cache of decisions, if there is one.
    remembered: Option<Decisions>,
}

/// A decision, or a future of it.
#[doc(hidden)]
pub enum Deciding {
    Now(Result<PolicyDecision, DecisionError>),
    Later(BoxFuture<'static, Result<PolicyDecision, DecisionError>>),
}

impl ZonePolicies {
    /// Creates policies that this source loads and this engine evaluates; `revocations` reports
    /// their invalidations. Install a metrics recorder first.
    #[must_use]
    pub fn new(
        revocations: Revocations,
        source: impl PolicySource,
        engine: impl PolicyEngine,
    ) -> Self {
        Self::with_options(revocations, source, engine, PolicyOptions::default())
    }

    /// Creates policies with these options.
    #[must_use]
    pub fn with_options(
        revocations: Revocations,
        source: impl PolicySource,
        engine: impl PolicyEngine,
        options: PolicyOptions,
    ) -> Self {
        let metrics = Metrics::register(options.poll_interval);
        let (source, engine) = (Box::new(source), Box::new(engine));
        let context = LoaderContext { revocations, source, engine, options, metrics };
        Self { owner: Arc::new(ZonesOwner::new(context)), remembered: None }
    }

    /// Asks the zone's policy for a decision about this input.
    ///
    /// The zone's first request waits for its policy, at most [`PolicyOptions::first_load_wait`].
    /// No later request waits for a load.
    ///
    /// # Errors
    ///
    /// [`DecisionError`] if there is no usable policy, or if the policy gives neither a complete
    /// allow nor a complete deny. Deny the request then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn decide(&self, input: PolicyInput) -> Result<PolicyDecision, DecisionError> {
        match self.deciding(input) {
            Deciding::Now(decision) => decision,
            Deciding::Later(decision) => decision.await,
        }
    }

    /// Loads the zone's policy on demand, and returns the zone's status after the load. Two such
    /// loads begin at least the shorter pause of [`PolicyOptions::retry`] apart.
    ///
    /// # Errors
    ///
    /// [`PolicyUnavailable::TooManyZones`] if the maximum number of zones is in use.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn refresh(&self, zone: &str) -> Result<ZoneStatus, PolicyUnavailable> {
        loop {
            let zone = self.owner.zone(zone)?;
            // A zone that was removed does not answer. It is added again.
            if zone.wait_for_load(zone.request_load()).await {
                return Ok(self.owner.zones.status(&zone));
            }
        }
    }

    /// Returns the status of the zone, if it is in use.
    #[must_use]
    pub fn status(&self, zone: &str) -> Option<ZoneStatus> {
        self.owner.zones.status_of(zone)
    }

    /// Returns the status of every zone in use.
    #[must_use]
    pub fn statuses(&self) -> Vec<ZoneStatus> {
        self.owner.zones.statuses()
    }

    /// Returns the revocation state that reports invalidations.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.owner.zones.context.revocations
    }

    /// Adds a cache of up to `capacity` decisions, for the policy layer. Its documentation names
    /// the parts of a cache key.
    #[doc(hidden)]
    #[must_use]
    pub fn with_decision_cache(self, capacity: u64, time_to_live: Duration) -> Self {
        Self { remembered: Some(Decisions::new(capacity, time_to_live)), ..self }
    }

    /// Decides at once if the decision is cached, or if the policy is loaded and its engine need
    /// not wait.
    #[doc(hidden)]
    #[must_use]
    pub fn deciding(&self, input: PolicyInput) -> Deciding {
        let input = Arc::new(input);
        let (Some(decisions), Some(key)) = (&self.remembered, self.key(&input)) else {
            return self.evaluating(&input);
        };
        if let Some(decision) = decisions.remembered(&key) {
            return Deciding::Now(Ok(decision));
        }
        match self.evaluating(&input) {
            Deciding::Now(decision) => {
                Deciding::Now(decision.inspect(|decision| decisions.remember(&key, decision)))
            }
            Deciding::Later(decision) => {
                let decisions = decisions.clone();
                Deciding::Later(Box::pin(async move {
                    decision.await.inspect(|decision| decisions.remember(&key, decision))
                }))
            }
        }
    }

    /// Returns the cache key of the decision, if it may be cached. A cached decision also needs a
    /// policy that may be used now.
    fn key(&self, input: &PolicyInput) -> Option<Key> {
        self.remembered.as_ref()?;
        let (policy, generation) = self.usable(input.zone())?;
        Decisions::key(&policy, generation, input)
    }

    fn evaluating(&self, input: &Arc<PolicyInput>) -> Deciding {
        let zone = match self.owner.zone(input.zone()) {
            Ok(zone) => zone,
            Err(unusable) => return Deciding::Now(Err(unusable.into())),
        };
        let policy = match self.owner.zones.usable(&zone) {
            Ok(policy) => policy,
            Err(PolicyUnavailable::NotLoaded) if !zone.state.load().tried => {
                return self.decide_later(zone, Arc::clone(input), None);
            }
            Err(unusable) => return Deciding::Now(Err(unusable.into())),
        };
        let began = Instant::now();
        match policy.prepared.evaluate(input) {
            Evaluation::Ready(result) => {
                Deciding::Now(read(&self.owner.zones, &zone, &policy, began, result))
            }
            Evaluation::Pending(result) => {
                self.decide_later(zone, Arc::clone(input), Some((policy, began, result)))
            }
        }
    }

    /// Returns the policy that may decide for the zone now, and the zone's generation.
    fn usable(&self, zone: &str) -> Option<(Arc<LoadedPolicy>, u64)> {
        let zone = self.owner.zone(zone).ok()?;
        let generation = self.owner.zones.context.revocations.policy(&zone.name).generation;
        Some((self.owner.zones.usable(&zone).ok()?, generation))
    }

    fn decide_later(
        &self,
        zone: Arc<Zone>,
        input: Arc<PolicyInput>,
        first: Option<(Arc<LoadedPolicy>, Instant, EvaluationFuture)>,
    ) -> Deciding {
        let owner = Arc::clone(&self.owner);
        Deciding::Later(Box::pin(async move {
            let zones = &owner.zones;
            let wait = zones.context.options.first_load_wait;
            if let Some((policy, began, result)) = first {
                let decision = read(zones, &zone, &policy, began, result.await);
                if decision != Err(EvaluationError::OtherVersion.into()) {
                    return decision;
                }
                // The engine has another version than the loaded one: load, and evaluate once more.
                let _ = tokio::time::timeout(wait, zone.wait_for_load(zone.request_load())).await;
            } else {
                let _ = tokio::time::timeout(wait, zone.wait_for_load(1)).await;
            }
            let policy = zones.usable(&zone)?;
            let began = Instant::now();
            let result = match policy.prepared.evaluate(&input) {
                Evaluation::Ready(result) => result,
                Evaluation::Pending(result) => result.await,
            };
            read(zones, &zone, &policy, began, result)
        }))
    }
}

type EvaluationFuture = BoxFuture<'static, Result<serde_json::Value, EvaluationError>>;

/// Reads the value of a policy as a decision, and counts the evaluation.
fn read(
    zones: &Zones,
    zone: &Zone,
    policy: &LoadedPolicy,
    began: Instant,
    result: Result<serde_json::Value, EvaluationError>,
) -> Result<PolicyDecision, DecisionError> {
    let outcome = result.and_then(PolicyResult::read);
    zones.context.metrics.evaluated(began.elapsed(), outcome.is_ok());
    let PolicyResult { effect, determining_policies, diagnostics } = outcome?;
    Ok(PolicyDecision {
        zone: Arc::clone(&zone.name),
        version: Arc::clone(&policy.version.version),
        digest: Arc::clone(&policy.version.digest),
        content: Arc::clone(&policy.version.content),
        effect,
        determining_policies,
        diagnostics,
        cached: false,
    })
}

impl fmt::Debug for Deciding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(decision) => f.debug_tuple("Now").field(decision).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

impl fmt::Debug for ZonePolicies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZonePolicies")
            .field("engine", &self.owner.zones.context.engine)
            .field("zones", &self.owner.zones.len())
            .finish_non_exhaustive()
    }
}
