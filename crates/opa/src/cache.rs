//! The cache of decisions. The key covers everything that a decision depends on.

use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::ledger::Version;
use crate::limits::DECISION_SHARE;
use crate::policy_state::LoadedPolicy;
use crate::{PolicyDecision, PolicyInput};

/// Caches decisions of deterministic policies.
#[derive(Clone, Debug)]
pub(crate) struct Decisions(Cache<[u8; 32], PolicyDecision>);

/// A digest of everything that a decision depends on. An invalidation changes every key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The hash of the policy, the generation and the input. Hashed, because clients can make an
    /// input long.
    sha256: [u8; 32],
    policy: Version,
}

impl Decisions {
    pub(crate) fn new(capacity: u64, time_to_live: Duration) -> Self {
        let shares = |_: &[u8; 32], decision: &PolicyDecision| {
            u32::try_from(bytes(decision).div_ceil(DECISION_SHARE)).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(capacity).weigher(shares);
        Self(cache.time_to_live(time_to_live).build())
    }

    pub(crate) fn key(policy: &LoadedPolicy, generation: u64, input: &PolicyInput) -> Option<Key> {
        if !policy.prepared.is_deterministic() {
            return None;
        }
        // The zone is part of the input.
        let Version { version, digest, content } = &policy.version;
        let parts = (version, digest, content, generation, input.as_value());
        let sha256 = Sha256::digest(serde_json::to_vec(&parts).ok()?).into();
        Some(Key { sha256, policy: policy.version.clone() })
    }

    pub(crate) fn remembered(&self, key: &Key) -> Option<PolicyDecision> {
        self.0.get(&key.sha256).map(|decision| PolicyDecision { cached: true, ..decision })
    }

    /// Caches a decision if it comes from the policy that the key names.
    pub(crate) fn remember(&self, key: &Key, decision: &PolicyDecision) {
        let Version { version, digest, content } = &key.policy;
        if (version, digest, content) == (&decision.version, &decision.digest, &decision.content) {
            self.0.insert(key.sha256, decision.clone());
        }
    }
}

/// Returns the approximate memory of a cached decision, in bytes.
fn bytes(decision: &PolicyDecision) -> usize {
    let values = decision.determining_policies.iter().chain(&*decision.diagnostics);
    size_of::<([u8; 32], PolicyDecision)>() + values.map(bytes_of_value).sum::<usize>()
}

fn bytes_of_value(value: &Value) -> usize {
    /// The size of a B-tree node, which has room for 11 members. Every node except the root
    /// holds at least 5.
    const NODE: usize = 11 * size_of::<(String, Value)>();
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(bytes_of_value).sum(),
            Value::Object(members) => {
                let own = |(name, member): (&String, &Value)| name.len() + bytes_of_value(member);
                NODE * (1 + members.len() / 5) + members.iter().map(own).sum::<usize>()
            }
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Evaluation, EvaluationError, PolicyEffect, PreparedPolicy, Principal, Resource};

    struct Same;

    impl PreparedPolicy for Same {
        fn evaluate(&self, _: &PolicyInput) -> Evaluation {
            Evaluation::Ready(Err(EvaluationError::Undefined))
        }

        fn is_deterministic(&self) -> bool {
            true
        }
    }

    fn decision([version, digest, content]: [&str; 3]) -> PolicyDecision {
        PolicyDecision {
            zone: "z-1".into(),
            version: version.into(),
            digest: digest.into(),
            content: content.into(),
            effect: PolicyEffect::Allow,
            determining_policies: Arc::default(),
            diagnostics: Arc::default(),
            cached: false,
        }
    }

    fn policy([version, digest, content]: [&str; 3]) -> LoadedPolicy {
        let [version, digest, content] = [version, digest, content].map(Arc::from);
        LoadedPolicy { version: Version { version, digest, content }, prepared: Arc::new(Same) }
    }

    fn input(zone: &str, path: &str) -> PolicyInput {
        let principal = Principal::new("application", "app-1", zone);
        let resource = Resource::new("api", "r-1", "https://api.example");
        PolicyInput::new(&principal, &resource, "read").unwrap().with_request("GET", path)
    }

    const POLICY: [&str; 3] = ["v1", "d1", "c1"];
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn does_not_cache_decision_of_another_policy() {
        let decisions = Decisions::new(10, HOUR);
        let key = Decisions::key(&policy(POLICY), 1, &input("z-1", "/")).unwrap();
        // The policy was replaced between look-up and evaluation.
        for other in [["v2", "d1", "c1"], ["v1", "d2", "c1"], ["v1", "d1", "c2"]] {
            decisions.remember(&key, &decision(other));
            assert!(decisions.remembered(&key).is_none());
        }
        decisions.remember(&key, &decision(POLICY));
        assert!(decisions.remembered(&key).is_some_and(|decision| decision.cached));
    }

    #[test]
    fn key_covers_policy_generation_and_input() {
        let keys = [
            (POLICY, 1, input("z-1", "/")),
            (["v2", "d1", "c1"], 1, input("z-1", "/")),
            (["v1", "d2", "c1"], 1, input("z-1", "/")),
            (["v1", "d1", "c2"], 1, input("z-1", "/")),
            (POLICY, 2, input("z-1", "/")),
            (POLICY, 1, input("z-2", "/")),
            (POLICY, 1, input("z-1", "/other")),
        ];
        let keys = keys.map(|(version, generation, input)| {
            Decisions::key(&policy(version), generation, &input).unwrap().sha256
        });
        assert_eq!(std::collections::HashSet::from(keys).len(), keys.len());
    }

    /// Returns the number of cached decisions and the bytes held, after five times as many requests
    /// as the capacity, each with a path of 30 kB.
    fn held(capacity: u64, diagnostics: impl Fn(&str) -> Vec<Value>) -> (u64, u64) {
        let decisions = Decisions::new(capacity, HOUR);
        let policy = policy(POLICY);
        let used = allocation_counter::measure(|| {
            for request in 0..5 * capacity {
                let path = format!("/{request}/{}", "a".repeat(30_000));
                let diagnostics = diagnostics(&path).into();
                let decision = PolicyDecision { diagnostics, ..decision(POLICY) };
                let key = Decisions::key(&policy, 1, &input("z-1", &path)).unwrap();
                decisions.remember(&key, &decision);
            }
            decisions.0.run_pending_tasks();
        });
        (decisions.0.entry_count(), u64::try_from(used.bytes_current).unwrap())
    }

    #[test]
    fn long_paths_do_not_fill_the_cache() {
        let (remembered, bytes) = held(32, |_| Vec::new());
        assert_eq!(remembered, 32);
        assert!(bytes < 32 * DECISION_SHARE as u64, "{bytes} bytes");
    }

    #[test]
    fn long_diagnostics_count_as_several_decisions() {
        // Each counts as 8. The bytes are not compared: moka frees evicted entries later.
        let (remembered, _) = held(32, |path| vec![Value::from(path)]);
        assert_eq!(remembered, 4);
    }
}
