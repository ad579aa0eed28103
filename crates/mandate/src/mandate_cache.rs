//! The cache of verified mandates, by a keyed digest of the whole token. Also caches the authority
//! records that these mandates name.

use std::hash::Hasher as _;

use caracal_revocation_state::Moment;
use moka::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::errors::ConfigError;
use crate::keys::Stamp;
use crate::limits::MAX_RECORDS;
use crate::mandate::{Mandate, unix_seconds};

/// Caches verified mandates. An evicted mandate is verified again.
pub(crate) struct MandateCache {
    hasher: SipHasher13,
    mandates: Cache<u128, (Mandate, Stamp)>,
    /// Authority records of which a mandate was verified.
    records: Cache<u128, ()>,
}

impl MandateCache {
    pub(crate) fn new(capacity: u64) -> Result<Self, ConfigError> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|_| ConfigError::NoRandomness)?;
        Ok(Self {
            hasher: SipHasher13::new_with_key(&key),
            mandates: Cache::new(capacity),
            records: Cache::new(MAX_RECORDS),
        })
    }

    /// Returns the mandate of this token, if it was verified with these keys and has not expired.
    pub(crate) fn get(&self, token: &str, stamp: Stamp, now: Moment) -> Option<Mandate> {
        let digest = self.digest(token);
        let (mandate, verified_with) = self.mandates.get(&digest)?;
        if verified_with == stamp && unix_seconds(now) < mandate.expires() {
            return Some(mandate);
        }
        self.mandates.invalidate(&digest);
        None
    }

    pub(crate) fn insert(&self, token: &str, mandate: &Mandate, stamp: Stamp) {
        self.mandates.insert(self.digest(token), (mandate.clone(), stamp));
        self.records.insert(self.digest(root(mandate)), ());
    }

    /// Returns `true` if a mandate of this authority record was verified.
    pub(crate) fn has_record(&self, root_sid: &str) -> bool {
        self.records.contains_key(&self.digest(root_sid))
    }

    /// Removes the record, after a token that named it had an unknown key.
    pub(crate) fn forget_record(&self, root_sid: &str) {
        self.records.invalidate(&self.digest(root_sid));
    }

    /// Returns a 128-bit SipHash-1-3 digest with a key of this process. Digests never leave the
    /// process, so an attacker cannot search for a token with the digest of another. One round per
    /// block is enough for that.
    fn digest(&self, text: &str) -> u128 {
        let mut hasher = self.hasher;
        hasher.write(text.as_bytes());
        hasher.finish128().as_u128()
    }
}

fn root(mandate: &Mandate) -> &str {
    mandate.claims().root_sid.as_deref().unwrap_or_default()
}
