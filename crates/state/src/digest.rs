//! Keyed digests of anchors: what the index stores instead of their text.

use std::hash::{BuildHasher, Hasher, RandomState};

/// How many low bits of a [`Digest`] are left free, for the table to keep an expiry in.
pub(crate) const SPARE_BITS: u32 = 24;

/// 104 bits that stand for an anchor, in the high bits of a `u128`; never zero there.
///
/// 64 of them are a fast keyed hash, which also places the anchor in the filter, and 40 are of
/// SipHash-1-3. Nobody finds two ids that share the 40 without knowing this process's key, so
/// the most that chosen ids can do to the fast part is to cost time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(u128);

impl Digest {
    /// The digest held in the high bits of a table's slot.
    pub(crate) const fn of_slot(slot: u128) -> Self {
        Self(slot >> SPARE_BITS << SPARE_BITS)
    }

    /// The digest in the high bits, the spare bits zero.
    pub(crate) const fn bits(self) -> u128 {
        self.0
    }

    /// The fast part, which places the anchor in the filter.
    pub(crate) const fn fast(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The 40 bits of SipHash, which place the anchor in the table.
    pub(crate) const fn strong(self) -> u64 {
        (self.0 as u64) >> SPARE_BITS
    }
}

/// This process's keys, random at start: digests mean nothing outside it.
#[derive(Debug, Default)]
pub(crate) struct Digester {
    fast: rapidhash::fast::RandomState,
    strong: RandomState,
}

impl Digester {
    /// The cheap part of the digest, enough to ask the filter.
    #[inline]
    pub(crate) fn fast(&self, id: &str) -> u64 {
        // The bytes alone: `hash_one` would hash their number as well.
        let mut hasher = self.fast.build_hasher();
        hasher.write(id.as_bytes());
        hasher.finish()
    }

    /// The whole digest, given its fast part.
    pub(crate) fn complete(&self, id: &str, fast: u64) -> Digest {
        let strong = self.strong.hash_one(id.as_bytes()) >> SPARE_BITS;
        // A zero slot is an empty one: one anchor in 2^40 shares its strong part with another.
        let strong = if strong == 0 { 1 } else { strong };
        Digest((u128::from(fast) << 64) | (u128::from(strong) << SPARE_BITS))
    }

    /// The whole digest.
    pub(crate) fn digest(&self, id: &str) -> Digest {
        self.complete(id, self.fast(id))
    }
}
