//! Counts the entries that were ever added to the index: all of them, and those of each part of the
//! digests.
//!
//! While a token's counts do not change, anchors without an entry still have none. The count of all
//! entries changes with every addition; the counts of the token's parts hardly ever.

use smallvec::SmallVec;

use crate::digest::Digest;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// The number of parts. While 5,000 entries are added, three of four tokens with four anchors keep
/// their counts, and 256 KiB of counts still fit into the processor's second cache.
#[cfg(not(loom))]
const PARTS: usize = 1 << 16;
/// Few under loom, so that both equal and different parts occur.
#[cfg(loom)]
const PARTS: usize = 2;

/// The largest number of anchors whose parts are noted.
const MOST_ANCHORS: usize = 8;

#[derive(Debug)]
pub(crate) struct Additions {
    all: AtomicU64,
    /// They begin again after four billion entries in one part, which no service ever reads.
    by_part: Box<[AtomicU32]>,
}

/// The parts of a token's anchors. Unused places repeat one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts([u16; MOST_ANCHORS]);

impl Additions {
    pub(super) fn new() -> Self {
        let by_part = (0..PARTS).map(|_| AtomicU32::new(0)).collect();
        Self { all: AtomicU64::new(0), by_part }
    }

    /// Counts an entry that readers can find already.
    pub(super) fn add(&self, digest: Digest) {
        if let Some(count) = self.by_part.get(usize::from(part(digest))) {
            count.fetch_add(1, Ordering::Release);
        }
        // Last: a reader that sees this number finds every entry that it counts, and its part's
        // count.
        self.all.fetch_add(1, Ordering::Release);
    }

    /// Returns the number of all entries.
    #[inline]
    pub(crate) fn all(&self) -> u64 {
        self.all.load(Ordering::Acquire)
    }

    /// Returns the number of entries in these parts. Since counts only grow, an equal sum means that
    /// no entry was added to any of them.
    #[inline]
    pub(crate) fn in_parts(&self, parts: Parts) -> u64 {
        let count = |part: u16| self.by_part.get(usize::from(part));
        let counts = parts.0.into_iter().filter_map(count);
        counts.map(|count| u64::from(count.load(Ordering::Acquire))).sum()
    }
}

impl Parts {
    /// Returns the parts of these anchors, or `None` if there are none or too many.
    pub(crate) fn of(anchors: impl Iterator<Item = Digest>) -> Option<Self> {
        let parts: SmallVec<[u16; MOST_ANCHORS]> = anchors.map(part).collect();
        let mut places = [*parts.first()?; MOST_ANCHORS];
        places.get_mut(..parts.len())?.copy_from_slice(&parts);
        Some(Self(places))
    }
}

/// Returns the part of a digest: bits that choose neither the word nor the bits in the filter.
fn part(digest: Digest) -> u16 {
    ((digest.fast() >> 24) as usize % PARTS) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{DigestKeys, Digester};

    #[test]
    fn sum_changes_with_each_anchor_of_the_token() {
        let digester = Digester::new(DigestKeys::random());
        for anchors in 1..=MOST_ANCHORS {
            let token: Vec<_> = (0..anchors).map(|n| digester.digest(&format!("a-{n}"))).collect();
            let parts = Parts::of(token.iter().copied()).unwrap();
            let additions = Additions::new();
            for anchor in token {
                let before = additions.in_parts(parts);
                additions.add(anchor);
                assert!(additions.in_parts(parts) > before);
            }
            assert_eq!(additions.all(), anchors as u64);
        }
    }

    #[test]
    fn sum_rarely_changes_with_other_entries() {
        let digester = Digester::new(DigestKeys::random());
        let parts = Parts::of((0..4).map(|n| digester.digest(&format!("a-{n}")))).unwrap();
        let additions = Additions::new();
        let changes = (0..10_000).filter(|n| {
            let before = additions.in_parts(parts);
            additions.add(digester.digest(&format!("other-{n}")));
            additions.in_parts(parts) != before
        });
        let changes = changes.count();
        assert!(changes < 10, "{changes} of 10,000");
    }

    #[test]
    fn too_many_anchors_have_no_parts() {
        let digester = Digester::new(DigestKeys::random());
        let digests = |count| (0..count).map(|n: usize| digester.digest(&n.to_string()));
        assert!(Parts::of(digests(0)).is_none());
        assert!(Parts::of(digests(MOST_ANCHORS)).is_some());
        assert!(Parts::of(digests(MOST_ANCHORS + 1)).is_none());
    }
}
