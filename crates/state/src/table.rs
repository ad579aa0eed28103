//! One shard of the exact table: 16 bytes for each revoked anchor, with digest and expiry in one
//! word.

use crate::clock::Minute;
use crate::digest::{Digest, SPARE_BITS};

const EXPIRY_MASK: u128 = (1 << SPARE_BITS) - 1;

/// The room that even a table of few entries has. There are thousands of tables.
const SPARE_SLOTS: usize = 2;

/// A hash table with open addressing and linear probing, at most four fifths full. Zero is an empty
/// slot.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<u128>,
    len: usize,
}

impl Table {
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u128>()
    }

    pub(crate) fn contains(&self, digest: Digest) -> bool {
        self.find(digest).is_ok()
    }

    /// Makes room for this many digests in an empty table, with few to spare.
    pub(crate) fn reserve(&mut self, digests: usize) {
        self.rebuild(digests * 3 / 2, 0);
    }

    /// Adds the digest until the minute `expires`, or extends its expiry. Returns `true` if the
    /// digest is new.
    pub(crate) fn insert(&mut self, digest: Digest, expires: Minute) -> bool {
        let expires = u128::from(expires.get()).min(EXPIRY_MASK);
        if (self.len + 1) * 5 > self.slots.len() * 4 {
            self.rebuild(self.slots.len() * 7 / 5 + SPARE_SLOTS, 0);
        }
        match self.find(digest) {
            Ok(at) => {
                if let Some(slot) = self.slots.get_mut(at) {
                    *slot = digest.bits() | expires.max(*slot & EXPIRY_MASK);
                }
                false
            }
            Err(at) => {
                if let Some(slot) = self.slots.get_mut(at) {
                    *slot = digest.bits() | expires;
                    self.len += 1;
                }
                true
            }
        }
    }

    /// Removes entries that expired before the minute `now`. Returns their number.
    pub(crate) fn sweep(&mut self, now: Minute) -> usize {
        let now = u128::from(now.get()).min(EXPIRY_MASK);
        let expired =
            self.slots.iter().filter(|slot| **slot != 0 && **slot & EXPIRY_MASK < now).count();
        if expired > 0 {
            let kept = self.len - expired;
            self.rebuild(kept * 3 / 2 + kept.min(1) * SPARE_SLOTS, now);
        }
        expired
    }

    /// Returns every used slot: the digest, with the minute of its expiry in the spare bits.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u128> {
        self.slots.iter().copied().filter(|slot| *slot != 0)
    }

    pub(crate) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.slots().map(Digest::of_slot)
    }

    /// Returns the digest's slot, or in `Err` the empty slot where it belongs.
    fn find(&self, digest: Digest) -> Result<usize, usize> {
        let size = self.slots.len();
        let start = ((u128::from(digest.strong()) * size as u128) >> 40) as usize;
        let around = self
            .slots
            .iter()
            .enumerate()
            .skip(start)
            .chain(self.slots.iter().enumerate().take(start));
        for (at, slot) in around {
            if *slot == 0 {
                return Err(at);
            }
            if Digest::of_slot(*slot) == digest {
                return Ok(at);
            }
        }
        Err(size)
    }

    fn rebuild(&mut self, size: usize, now: u128) {
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        self.len = 0;
        for slot in old.into_iter().filter(|slot| *slot != 0 && slot & EXPIRY_MASK >= now) {
            let Err(at) = self.find(Digest::of_slot(slot)) else { continue };
            if let Some(free) = self.slots.get_mut(at) {
                *free = slot;
                self.len += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{DigestKeys, Digester};

    #[test]
    fn keeps_every_digest_through_growth_and_sweeps() {
        let digester = Digester::new(DigestKeys::random());
        let digests: Vec<_> = (0..10_000).map(|n| digester.digest(&format!("id-{n}"))).collect();
        let mut table = Table::default();
        for (n, digest) in digests.iter().enumerate() {
            assert!(table.insert(*digest, Minute::new((n % 10) as u32)));
            assert!(!table.insert(*digest, Minute::new(0)), "an older expiry is not a new entry");
        }
        assert_eq!(table.len, 10_000);
        assert_eq!(table.sweep(Minute::new(5)), 5_000);
        assert_eq!(table.len, 5_000);
        for (n, digest) in digests.iter().enumerate() {
            assert_eq!(table.contains(*digest), n % 10 >= 5, "id-{n}");
        }
        assert!(table.bytes() <= 5_000 * 32);
        table.sweep(Minute::new(u32::MAX >> 8));
        assert_eq!((table.len, table.bytes()), (0, 0));
    }

    #[test]
    fn table_with_reserved_room_does_not_grow() {
        let digester = Digester::new(DigestKeys::random());
        let mut table = Table::default();
        table.reserve(1_000);
        let bytes = table.bytes();
        // Shards of equal room get unequal numbers of digests.
        (0..1_150).for_each(|n| {
            table.insert(digester.digest(&format!("id-{n}")), Minute::new(9));
        });
        assert_eq!((table.len, table.bytes()), (1_150, bytes));
        assert!(bytes <= 1_000 * 24);
    }

    #[test]
    fn at_most_four_of_five_slots_are_in_use() {
        let digester = Digester::new(DigestKeys::random());
        let digests: Vec<_> = (0..3_000).map(|n| digester.digest(&format!("id-{n}"))).collect();
        let mut table = Table::default();
        for (n, digest) in digests.iter().enumerate() {
            table.insert(*digest, Minute::new(if n % 3 == 0 { 9 } else { 1 }));
            let (used, slots) = (n + 1, table.slots.len());
            assert_eq!((table.len, table.slots().count()), (used, used));
            assert!(used * 5 <= slots * 4, "{used} of {slots}");
            assert!(slots <= used * 7 / 4 + 8, "{used} of {slots}");
        }
        let before = table.slots.clone();
        assert_eq!(table.sweep(Minute::new(1)), 0);
        assert_eq!(table.slots, before, "nothing has expired");
        assert_eq!(table.sweep(Minute::new(5)), 2_000);
        assert_eq!((table.len, table.slots.len()), (1_000, 1_502));
    }

    #[test]
    fn digests_lie_near_the_place_that_they_select() {
        let digester = Digester::new(DigestKeys::random());
        let mut table = Table::default();
        for n in 0..10_000 {
            table.insert(digester.digest(&format!("id-{n}")), Minute::new(9));
        }
        let size = table.slots.len() as f64;
        let placed = table.slots.iter().enumerate().filter(|(_, slot)| **slot != 0);
        let far = placed.filter(|(at, slot)| {
            let selected = Digest::of_slot(**slot).strong() as f64 / 2_f64.powi(40) * size;
            (*at as f64 - selected).abs() > 200.0
        });
        assert!(far.count() < 100, "a lookup passes only few other digests");
    }

    #[test]
    fn expiry_beyond_the_spare_bits_is_the_latest_one() {
        let digest = Digester::new(DigestKeys::random()).digest("id");
        let mut table = Table::default();
        table.insert(digest, Minute::new(u32::MAX));
        assert!(table.contains(digest), "the expiry leaves the digest as it is");
        assert_eq!(table.sweep(Minute::new(u32::MAX)), 0);
    }

    #[test]
    fn keeps_the_latest_expiry() {
        let digest = Digester::new(DigestKeys::random()).digest("id");
        let mut table = Table::default();
        table.insert(digest, Minute::new(5));
        table.insert(digest, Minute::new(9));
        table.insert(digest, Minute::new(7));
        assert_eq!(table.sweep(Minute::new(9)), 0);
        assert_eq!(table.sweep(Minute::new(10)), 1);
    }
}
