//! What was verified before: mandates by a keyed digest of the whole token, and the authority
//! records that they named.

use std::hash::Hasher as _;

use caracal_revocation_state::Moment;
use moka::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::{ConfigError, Mandate};

/// How many authority records are known to have good mandates.
const MAX_RECORDS: u64 = 10_000;

/// Under which keys something was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The zone's key generation, noted before the keys were asked for.
    pub(crate) generation: u64,
    /// Moves whenever a key that was published is published no more.
    pub(crate) removals: u64,
}

/// Verified mandates. What it forgets is only verified anew.
pub(crate) struct Memory {
    hasher: SipHasher13,
    mandates: Cache<u128, (Mandate, Stamp)>,
    /// Authority records of which a good mandate was seen.
    records: Cache<u128, ()>,
}

impl Memory {
    pub(crate) fn new(capacity: u64) -> Result<Self, ConfigError> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|_| ConfigError::NoRandomness)?;
        Ok(Self {
            hasher: SipHasher13::new_with_key(&key),
            mandates: Cache::new(capacity),
            records: Cache::new(MAX_RECORDS),
        })
    }

    /// The mandate, if this very token was verified under these keys and has not expired.
    pub(crate) fn recall(&self, token: &str, stamp: Stamp, now: Moment) -> Option<Mandate> {
        let digest = self.digest(token);
        let (mandate, made_under) = self.mandates.get(&digest)?;
        if made_under == stamp && seconds(now) < mandate.expires() {
            return Some(mandate);
        }
        self.mandates.invalidate(&digest);
        None
    }

    pub(crate) fn remember(&self, token: &str, mandate: &Mandate, stamp: Stamp) {
        self.mandates.insert(self.digest(token), (mandate.clone(), stamp));
        self.records.insert(self.digest(root(mandate)), ());
    }

    /// Whether a good mandate of this authority record was seen.
    pub(crate) fn knows(&self, root_sid: &str) -> bool {
        self.records.contains_key(&self.digest(root_sid))
    }

    /// Forgets the record: a token that named it was signed with a key that nobody publishes.
    pub(crate) fn doubt(&self, root_sid: &str) {
        self.records.invalidate(&self.digest(root_sid));
    }

    /// SipHash-1-3 of 128 bits under a key of this process, which tells its digests to nobody: who
    /// does not see them can make no token with the digest of another, and half the rounds do.
    fn digest(&self, text: &str) -> u128 {
        let mut hasher = self.hasher;
        hasher.write(text.as_bytes());
        hasher.finish128().as_u128()
    }
}

fn root(mandate: &Mandate) -> &str {
    mandate.claims().root_sid.as_deref().unwrap_or_default()
}

/// Whole seconds since the Unix epoch.
pub(crate) fn seconds(now: Moment) -> i64 {
    i64::try_from(now.wall.as_secs()).unwrap_or(i64::MAX)
}
