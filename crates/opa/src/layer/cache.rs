//! Decisions that were taken before, remembered under everything that they depend on.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::standing::LoadedPolicy;
use crate::{PolicyDecision, PolicyInput};

/// Remembers decisions of policies whose value depends on nothing but their input.
#[derive(Clone, Debug)]
pub(super) struct Decisions(Cache<Key, PolicyDecision>);

/// The whole of what a decision depends on; an invalidation alone makes every key another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    zone: Box<str>,
    version: Arc<str>,
    digest: Arc<str>,
    generation: u64,
    input: Box<[u8]>,
}

impl Decisions {
    pub(super) fn new(capacity: u64, time_to_live: Duration) -> Self {
        Self(Cache::builder().max_capacity(capacity).time_to_live(time_to_live).build())
    }

    pub(super) fn key(policy: &LoadedPolicy, generation: u64, input: &PolicyInput) -> Option<Key> {
        if !policy.prepared.is_deterministic() {
            return None;
        }
        Some(Key {
            zone: input.zone().into(),
            version: Arc::clone(&policy.version.version),
            digest: Arc::clone(&policy.version.digest),
            generation,
            input: serde_json::to_vec(input.as_value()).ok()?.into(),
        })
    }

    pub(super) fn remembered(&self, key: &Key) -> Option<PolicyDecision> {
        self.0.get(key).map(|decision| PolicyDecision { cached: true, ..decision })
    }

    /// Only what was decided under the very policy that the key names.
    pub(super) fn remember(&self, key: Key, decision: &PolicyDecision) {
        if key.version == decision.version && key.digest == decision.digest {
            self.0.insert(key, decision.clone());
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Version;
    use crate::{Effect, Evaluation, EvaluationError, PreparedPolicy, Principal, Resource};

    struct Same;

    impl PreparedPolicy for Same {
        fn evaluate(&self, _: &PolicyInput) -> Evaluation {
            Evaluation::Ready(Err(EvaluationError::Undefined))
        }

        fn is_deterministic(&self) -> bool {
            true
        }
    }

    fn decision(version: &str, digest: &str) -> PolicyDecision {
        PolicyDecision {
            zone: "z-1".into(),
            version: version.into(),
            digest: digest.into(),
            effect: Effect::Allow,
            determining_policies: Arc::default(),
            diagnostics: Arc::default(),
            cached: false,
        }
    }

    #[test]
    fn a_decision_of_another_policy_than_the_keys_is_not_remembered() {
        let decisions = Decisions::new(10, Duration::from_secs(60));
        let version = Version { version: "v1".into(), digest: "d1".into() };
        let policy = LoadedPolicy { version, prepared: Arc::new(Same) };
        let principal = Principal::new("application", "app-1", "z-1");
        let resource = Resource::new("api", "r-1", "https://api.example");
        let input = PolicyInput::new(&principal, &resource, "read").unwrap();
        let key = || Decisions::key(&policy, 1, &input).unwrap();
        // The policy was replaced between look-up and evaluation.
        for (version, digest) in [("v2", "d1"), ("v1", "d2")] {
            decisions.remember(key(), &decision(version, digest));
            assert!(decisions.remembered(&key()).is_none());
        }
        decisions.remember(key(), &decision("v1", "d1"));
        assert!(decisions.remembered(&key()).is_some_and(|decision| decision.cached));
    }
}
