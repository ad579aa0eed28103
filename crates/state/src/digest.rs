//! Keyed digests of anchors, which the index stores in place of their text.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use rapidhash::fast::SeedableState;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// The number of low bits of a [`Digest`] that are free: the table stores an expiry in them.
pub(crate) const SPARE_BITS: u32 = 24;

/// The longest probe text, in units of four bytes: longer than any id, so that the probe covers
/// every code path of the hash functions.
const LONGEST_PROBE: usize = 64;

/// A 104-bit digest of an anchor, in the high bits of a `u128`; never zero there.
///
/// 64 of the bits are a fast keyed hash, which also places the anchor in the filter. 40 are from
/// SipHash-1-3. Without this process's key, an attacker cannot find two ids that share the 40 bits.
/// Chosen ids can therefore only make the fast part slow, not wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(u128);

impl Digest {
    /// Returns the digest held in the high bits of a table's slot.
    pub(crate) const fn of_slot(slot: u128) -> Self {
        Self(slot >> SPARE_BITS << SPARE_BITS)
    }

    /// Returns `true` if an id can have this digest: a zero slot is an empty one.
    pub(crate) const fn is_possible(self) -> bool {
        self.strong() != 0
    }

    /// Returns the digest in the high bits; the spare bits are zero.
    pub(crate) const fn bits(self) -> u128 {
        self.0
    }

    /// Returns the fast part, which places the anchor in the filter.
    pub(crate) const fn fast(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// Returns 64 bits of the digest, including those of SipHash. Use it where a collision only
    /// costs an extra check.
    pub(crate) const fn short(self) -> u64 {
        (self.0 >> SPARE_BITS) as u64
    }

    /// Returns the 40 bits of SipHash, which place the anchor in the table.
    pub(crate) const fn strong(self) -> u64 {
        (self.0 as u64) >> SPARE_BITS
    }
}

/// The keys of digests: random for each state, unless a snapshot brings its own. An attacker who
/// has them can choose ids that share a digest.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DigestKeys {
    seed: u64,
    secrets: [u64; 7],
    strong: [u64; 2],
}

impl DigestKeys {
    pub(crate) fn random() -> Self {
        // Keyed by the operating system's randomness, so its hashes cannot be predicted.
        let random = RandomState::new();
        let keys: [u64; 10] = std::array::from_fn(|number| random.hash_one(number));
        let [seed, secrets @ .., first, second] = keys;
        Self { seed, secrets, strong: [first, second] }
    }
}

#[cfg(loom)]
impl DigestKeys {
    /// Returns fixed keys, so that every run of a model is deterministic.
    pub(crate) const fn fixed() -> Self {
        Self { seed: 0x9e37_79b9_7f4a_7c15, secrets: [0xbf58_476d_1ce4_e5b9; 7], strong: [1, 2] }
    }
}

/// Omits the keys.
impl fmt::Debug for DigestKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKeys(..)")
    }
}

/// Computes digests. They are valid only under the same keys.
pub(crate) struct Digester {
    keys: DigestKeys,
}

impl Digester {
    pub(crate) fn new(keys: DigestKeys) -> Self {
        Self { keys }
    }

    pub(crate) const fn keys(&self) -> DigestKeys {
        self.keys
    }

    /// Returns the cheap part of the digest, which is enough to ask the filter.
    #[inline]
    pub(crate) fn fast(&self, id: &str) -> u64 {
        // Hashes only the bytes: `hash_one` would hash their number as well.
        let DigestKeys { seed, secrets, .. } = &self.keys;
        let mut hasher = SeedableState::custom(*seed, secrets).build_hasher();
        hasher.write(id.as_bytes());
        hasher.finish()
    }

    /// Returns the whole digest, given its fast part.
    pub(crate) fn complete(&self, id: &str, fast: u64) -> Digest {
        let [k0, k1] = self.keys.strong;
        let strong = SipHasher13::new_with_keys(k0, k1).hash(id.as_bytes()) >> SPARE_BITS;
        // Never zero, because a zero slot is an empty one. One anchor in 2^40 then shares its
        // strong part with another.
        let strong = if strong == 0 { 1 } else { strong };
        Digest((u128::from(fast) << 64) | (u128::from(strong) << SPARE_BITS))
    }

    /// Returns the digests of texts of many lengths. A program or machine that computes different
    /// ones could not find the anchors of stored digests.
    pub(crate) fn probe(&self) -> Vec<u128> {
        (0..=LONGEST_PROBE).map(|length| self.digest(&"z-1 ".repeat(length)).bits()).collect()
    }

    /// Returns the whole digest.
    pub(crate) fn digest(&self, id: &str) -> Digest {
        self.complete(id, self.fast(id))
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_names_no_key() {
        let keys = DigestKeys::random();
        let text = format!("{keys:?} {:?}", Digester::new(keys));
        assert_eq!(text, "DigestKeys(..) Digester(..)");
    }

    #[test]
    fn digest_holds_both_parts_and_spares_its_lowest_bits() {
        let digester = Digester::new(DigestKeys::random());
        for n in 0..1_000 {
            let digest = digester.digest(&format!("id-{n}"));
            let (fast, strong) = (u128::from(digest.fast()), u128::from(digest.strong()));
            assert_eq!(digest.fast(), digester.fast(&format!("id-{n}")));
            assert_eq!(digest.bits(), fast << 64 | strong << SPARE_BITS);
            assert_eq!(Digest::of_slot(digest.bits() | 0xff_ffff), digest);
            assert!(strong > 0 && strong < 1 << 40);
        }
    }

    #[test]
    fn probe_holds_a_digest_for_each_length() {
        let keys = DigestKeys::random();
        let probe = Digester::new(keys).probe();
        assert_eq!(probe.len(), 65);
        assert_eq!(probe.first(), Some(&Digester::new(keys).digest("").bits()));
        assert_eq!(probe.iter().collect::<std::collections::HashSet<_>>().len(), 65);
    }

    #[test]
    fn each_key_changes_the_digest() {
        let keys = DigestKeys::random();
        let digest = |keys| Digester::new(keys).digest("id").bits();
        let before = digest(keys);
        assert_eq!(digest(keys), before);
        assert_ne!(digest(DigestKeys::random()), before);
        assert_ne!(digest(DigestKeys { strong: [1, 2], ..keys }), before);
    }
}
