//! The cache of verified mandates, by a keyed digest of the whole token, and of the authority
//! records that they named.

use std::hash::Hasher as _;

use caracal_revocation_state::Moment;
use moka::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::errors::ConfigError;
use crate::keys::Stamp;
use crate::limits::MAX_RECORDS;
use crate::mandate::{Mandate, unix_seconds};

/// Verified mandates. One that it forgets is verified again.
pub(crate) struct MandateCache {
    hasher: SipHasher13,
    mandates: Cache<u128, (Mandate, Stamp)>,
    /// Authority records of which a valid mandate was seen.
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

    /// Returns the mandate of this token, if it was verified under these keys and has not expired.
    pub(crate) fn get(&self, token: &str, stamp: Stamp, now: Moment) -> Option<Mandate> {
        let digest = self.digest(token);
        let (mandate, made_under) = self.mandates.get(&digest)?;
        if made_under == stamp && unix_seconds(now) < mandate.expires() {
            return Some(mandate);
        }
        self.mandates.invalidate(&digest);
        None
    }

    pub(crate) fn insert(&self, token: &str, mandate: &Mandate, stamp: Stamp) {
        self.mandates.insert(self.digest(token), (mandate.clone(), stamp));
        self.records.insert(self.digest(root(mandate)), ());
    }

    /// Returns `true` if a valid mandate of this authority record was seen.
    pub(crate) fn has_record(&self, root_sid: &str) -> bool {
        self.records.contains_key(&self.digest(root_sid))
    }

    /// Forgets the record: a token that named it was signed with an unpublished key.
    pub(crate) fn forget_record(&self, root_sid: &str) {
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
