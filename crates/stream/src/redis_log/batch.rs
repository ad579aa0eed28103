//! The number of entries that one read asks for: fewer after large, slow and cut answers, more
//! after small ones.

use std::time::Duration;

/// The largest number of entries of one stream in one answer. It is smaller if the entries are
/// large.
const MOST: usize = 1_000;
const FIRST: usize = 100;
/// The size of an answer, in bytes of entries, above which the next read asks for fewer.
const COMFORTABLE: u64 = 8 << 20;
/// The time for entries to arrive above which the next read asks for fewer.
const SLOW: Duration = Duration::from_secs(1);
/// The largest number of answers that must arrive complete before the ceiling is raised.
const LONGEST_CALM: u32 = 1_024;

/// The number of entries of each stream to ask for. Zero means to read one stream after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    count: usize,
    /// The upper limit of `count`.
    most: usize,
    /// The current limit of `count`, which each cut lowers.
    ceiling: usize,
    /// The number of answers that must arrive complete before the ceiling is raised. Each cut
    /// doubles it.
    calm: u32,
    /// The number of those answers that have not arrived yet.
    left: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self::up_to(MOST)
    }
}

impl Batch {
    /// Creates a batch that asks for at most `most` entries.
    pub(crate) fn up_to(most: usize) -> Self {
        Self { count: FIRST.min(most), most, ceiling: most, calm: 1, left: 1 }
    }

    pub(crate) fn count(self) -> usize {
        self.count.max(1)
    }

    /// Returns `true` if even one entry of each stream is too much for one answer.
    pub(super) const fn is_narrow(self) -> bool {
        self.count == 0
    }

    /// Records a complete answer: the bytes of its entries, all its bytes, and the time that it
    /// took.
    pub(crate) fn arrived(&mut self, entries: u64, all: u64, took: Duration) {
        let is_slow = took > SLOW && entries > all / 2;
        if entries > COMFORTABLE {
            self.count = (self.count / 8).max(1);
        } else if is_slow {
            self.count = (self.count / 2).max(1);
        } else if entries < COMFORTABLE / 8 {
            self.grow();
        }
    }

    /// Records that an answer did not arrive complete. It may have been too large for a server or
    /// proxy.
    pub(crate) fn cut(&mut self) {
        self.count /= 2;
        self.ceiling = self.count;
        self.calm = (self.calm * 2).min(LONGEST_CALM);
        self.left = self.calm;
    }

    fn grow(&mut self) {
        if self.count < self.ceiling {
            self.count = (self.count * 2).clamp(1, self.ceiling);
            return;
        }
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return;
        }
        if self.ceiling == self.most {
            self.calm = 1;
        }
        self.ceiling = (self.ceiling * 2).clamp(1, self.most);
        self.left = self.calm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: u64 = 1_000;
    const QUICK: Duration = Duration::ZERO;

    fn arrived(batch: &mut Batch, times: usize) {
        (0..times).for_each(|_| batch.arrived(SMALL, SMALL, QUICK));
    }

    #[test]
    fn halves_after_each_cut_and_grows_back() {
        let mut batch = Batch::default();
        let mut counts = Vec::new();
        while !batch.is_narrow() {
            batch.cut();
            counts.push(batch.count);
        }
        assert_eq!(counts, [50, 25, 12, 6, 3, 1, 0]);
        assert_eq!(batch.count(), 1);
        arrived(&mut batch, 20 * 128);
        assert_eq!(batch.count, MOST);
    }

    #[test]
    fn retries_size_that_is_cut_ever_less_often() {
        let mut batch = Batch::default();
        arrived(&mut batch, 10);
        let mut cuts = 0;
        for _ in 0..10_000 {
            if batch.count > 300 {
                batch.cut();
                cuts += 1;
            } else {
                arrived(&mut batch, 1);
            }
        }
        assert!(cuts < 20, "{cuts}");
        assert!(batch.count >= 100, "{batch:?}");
    }

    #[test]
    fn large_entries_shrink_batch_and_large_counters_do_not() {
        let mut batch = Batch::default();
        batch.arrived(SMALL, 18 << 20, 5 * SLOW);
        assert_eq!(batch.count, 200);
        batch.arrived(9 << 20, 9 << 20, QUICK);
        assert_eq!(batch.count, 25);
        batch.arrived(SMALL, SMALL, QUICK);
        assert_eq!(batch.count, 50);
        batch.arrived(2 << 20, 2 << 20, 2 * SLOW);
        assert_eq!(batch.count, 25);
    }
}
