//! The policies of every zone in use, asked for decisions.

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
    BoxFuture, Evaluation, EvaluationError, NoDecision, PolicyDecision, PolicyEngine, PolicyInput,
    PolicyOptions, PolicySource, Unusable, ZoneStatus,
};

/// The policies of every zone in use. Clones share them; the last one to go ends the loading.
///
/// The crate's documentation shows it at work. Each zone that a request asks for has one task,
/// which loads its policy at once, after every invalidation that [`Revocations`] tells of, now and
/// then, and on demand. Requests read what is there, without a lock.
#[derive(Clone)]
pub struct ZonePolicies {
    owner: Arc<ZonesOwner>,
    /// Decisions that were taken before, where they are remembered.
    remembered: Option<Decisions>,
}

/// A decision, now or later.
#[doc(hidden)]
pub enum Deciding {
    Now(Result<PolicyDecision, NoDecision>),
    Later(BoxFuture<'static, Result<PolicyDecision, NoDecision>>),
}

impl ZonePolicies {
    /// Policies that `revocations` tells about, from this source, evaluated by this engine.
    /// Install a metrics recorder before making it.
    #[must_use]
    pub fn new(
        revocations: Revocations,
        source: impl PolicySource,
        engine: impl PolicyEngine,
    ) -> Self {
        Self::with_options(revocations, source, engine, PolicyOptions::default())
    }

    /// The same with other options.
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

    /// What the zone's policy decides about this input.
    ///
    /// The zone's first request waits for its policy, at most [`PolicyOptions::first_load_wait`];
    /// no later one waits for a load.
    ///
    /// # Errors
    ///
    /// [`NoDecision`] when there is no usable policy, or it gives neither a complete allow nor a
    /// complete deny: deny the request.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn decide(&self, input: PolicyInput) -> Result<PolicyDecision, NoDecision> {
        match self.deciding(input) {
            Deciding::Now(decision) => decision,
            Deciding::Later(decision) => decision.await,
        }
    }

    /// Loads the zone's policy, whatever was loaded before, and tells how the zone stands then.
    /// Loads on demand begin at least the shorter pause of [`PolicyOptions::retry`] apart.
    ///
    /// # Errors
    ///
    /// [`Unusable::TooManyZones`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn refresh(&self, zone: &str) -> Result<ZoneStatus, Unusable> {
        loop {
            let zone = self.owner.zone(zone)?;
            // One that leaves just now is asked for anew.
            if zone.until_answered(zone.want()).await {
                return Ok(self.owner.zones.status(&zone));
            }
        }
    }

    /// How the zone stands, if it is in use.
    #[must_use]
    pub fn status(&self, zone: &str) -> Option<ZoneStatus> {
        self.owner.zones.status_of(zone)
    }

    /// How every zone in use stands.
    #[must_use]
    pub fn statuses(&self) -> Vec<ZoneStatus> {
        self.owner.zones.statuses()
    }

    /// The revocation state that tells of invalidations.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.owner.zones.context.revocations
    }

    /// The same policies with a memory of up to `capacity` decisions of its own, for the policy layer,
    /// whose documentation says under what a decision is remembered.
    #[doc(hidden)]
    #[must_use]
    pub fn with_decision_cache(self, capacity: u64, time_to_live: Duration) -> Self {
        Self { remembered: Some(Decisions::new(capacity, time_to_live)), ..self }
    }

    /// Decides at once where the decision is remembered, or the policy is there and its engine need
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

    /// What the decision is remembered under, if it may be. Also a remembered decision needs a
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
            Err(Unusable::NotLoaded) if !zone.state.load().tried => {
                return self.later(zone, Arc::clone(input), None);
            }
            Err(unusable) => return Deciding::Now(Err(unusable.into())),
        };
        let began = Instant::now();
        match policy.prepared.evaluate(input) {
            Evaluation::Ready(result) => {
                Deciding::Now(read(&self.owner.zones, &zone, &policy, began, result))
            }
            Evaluation::Pending(result) => {
                self.later(zone, Arc::clone(input), Some((policy, began, result)))
            }
        }
    }

    /// The policy that may decide for the zone now, and the generation it is asked in: what a
    /// remembered decision is remembered under.
    fn usable(&self, zone: &str) -> Option<(Arc<LoadedPolicy>, u64)> {
        let zone = self.owner.zone(zone).ok()?;
        let generation = self.owner.zones.context.revocations.policy(&zone.name).generation;
        Some((self.owner.zones.usable(&zone).ok()?, generation))
    }

    fn later(
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
                // The engine is ahead of what is served: see what is current, and ask once more.
                let _ = tokio::time::timeout(wait, zone.until_answered(zone.want())).await;
            } else {
                let _ = tokio::time::timeout(wait, zone.until_answered(1)).await;
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
) -> Result<PolicyDecision, NoDecision> {
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
