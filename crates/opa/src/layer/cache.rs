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
