//! The prefilter: four bits for each anchor in one word, so that a miss costs one load.
//!
//! It is a Bloom filter that keeps all bits of a key in the same 64-bit word. Bits are only added.
//! A filter that is too full, or holds mostly expired entries, is replaced by one built from the
//! table.

use crate::sync::{AtomicU64, Ordering};

/// The number of keys that a word is sized for. With 21 bits for each key, one in 400 absent keys
/// is a false positive, and a million keys still fit into the processor's caches.
const KEYS_A_WORD: usize = 3;

#[derive(Debug)]
pub(crate) struct Filter {
    words: Vec<AtomicU64>,
}

impl Filter {
    /// Creates an empty filter for `keys` keys.
    pub(crate) fn for_keys(keys: usize) -> Self {
        let mut filter = Self::without_words(keys);
        filter.grow(usize::MAX);
        filter
    }

    /// Creates a filter for `keys` keys that [`Self::grow`] completes.
    pub(crate) fn without_words(keys: usize) -> Self {
        Self { words: Vec::with_capacity(keys.div_ceil(KEYS_A_WORD).max(8)) }
    }

    /// Adds at most this number of words. Returns `true` once the filter is complete.
    pub(crate) fn grow(&mut self, most: usize) -> bool {
        let missing = self.words.capacity() - self.words.len();
        self.words.extend((0..missing.min(most)).map(|_| AtomicU64::new(0)));
        missing <= most
    }

    /// Returns the number of keys that it can hold before false positives increase.
    pub(crate) fn capacity(&self) -> usize {
        self.words.len() * KEYS_A_WORD
    }

    /// Returns its bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.words.len() * size_of::<AtomicU64>()
    }

    pub(crate) fn add(&self, fast: u64) {
        if let Some(word) = self.words.get(self.place(fast)) {
            // Pairs with the load in `may_hold`: a reader that sees the bits sees the table's
            // entry.
            word.fetch_or(mask(fast), Ordering::Release);
        }
    }

    /// Adds a key before any reader has the filter. Without a locked instruction, the processor
    /// reads the words of several keys at a time.
    pub(crate) fn add_unshared(&mut self, fast: u64) {
        let place = self.place(fast);
        if let Some(word) = self.words.get_mut(place) {
            word.store(word.load(Ordering::Relaxed) | mask(fast), Ordering::Relaxed);
        }
    }

    /// Returns `false` if the key is certainly absent; `true` if it may be present.
    #[inline]
    pub(crate) fn may_hold(&self, fast: u64) -> bool {
        let mask = mask(fast);
        self.words
            .get(self.place(fast))
            .is_some_and(|word| word.load(Ordering::Acquire) & mask == mask)
    }

    /// Returns the index of the key's word. Scales the hash by multiplication, without a division.
    #[inline]
    fn place(&self, fast: u64) -> usize {
        ((u128::from(fast) * self.words.len() as u128) >> 64) as usize
    }
}

/// Returns a mask of four bits, chosen by the low 24 bits of the hash. The high bits of the hash
/// choose the word.
const fn mask(fast: u64) -> u64 {
    1 << (fast & 63) | 1 << (fast >> 6 & 63) | 1 << (fast >> 12 & 63) | 1 << (fast >> 18 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a fixed, well-mixed sequence.
    fn hashes(count: u64) -> impl Iterator<Item = u64> {
        (1..=count).map(|n| {
            let mixed = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        })
    }

    #[test]
    fn holds_every_key_that_was_added() {
        let filter = Filter::for_keys(1_000);
        hashes(1_000).for_each(|hash| filter.add(hash));
        assert!(hashes(1_000).all(|hash| filter.may_hold(hash)));
    }

    #[test]
    fn key_is_held_only_with_all_its_bits() {
        // Six bits of the hash select each of the four bits; they may coincide.
        for (bits, mask_bits) in [
            ([0, 0, 0, 0], 0b1),
            ([1, 1, 2, 3], 0b1110),
            ([1, 2, 1, 3], 0b1110),
            ([1, 2, 3, 1], 0b1110),
            ([1, 2, 2, 3], 0b1110),
            ([1, 2, 3, 3], 0b1110),
            ([1, 2, 3, 63], 1 << 63 | 0b1110),
        ] {
            let fast = bits.iter().rev().fold(0, |fast, bit| fast << 6 | bit);
            assert_eq!(mask(fast), mask_bits, "{bits:?}");
            assert!(!Filter::for_keys(8).may_hold(fast), "an empty filter holds no key");
        }
    }

    #[test]
    fn size_follows_the_number_of_keys() {
        for (keys, words) in [(0, 8), (24, 8), (25, 9), (3_000, 1_000)] {
            let filter = Filter::for_keys(keys);
            assert_eq!((filter.capacity(), filter.bytes()), (words * 3, words * 8), "{keys}");
        }
    }

    #[test]
    fn rarely_holds_another_key_when_it_is_full() {
        let filter = Filter::for_keys(100_000);
        hashes(100_000).for_each(|hash| filter.add(hash));
        let wrong = hashes(300_000).skip(100_000).filter(|hash| filter.may_hold(*hash)).count();
        assert!(wrong < 700, "{wrong} false positives among 200,000");
    }
}
