//! The times at which anchors were revoked, each kept until the first request that is denied for
//! it.
//!
//! A fixed table with one word for each anchor. A later anchor may overwrite an earlier one, whose
//! lag is then not reported. Only denied requests read the table.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::LONGEST_LAG;

const SLOTS: usize = 4_096;
/// The low bits of each word hold the time in microseconds; the rest identify the anchor.
const TIME_BITS: u32 = 40;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

#[derive(Debug)]
pub(crate) struct Recent {
    slots: Box<[AtomicU64]>,
    /// The time of the latest revocation, in microseconds of the monotonic clock; zero if there was
    /// none.
    last: AtomicU64,
}

impl Recent {
    pub(crate) fn new() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { slots, last: AtomicU64::new(0) }
    }

    /// Records that the anchor with this hash was revoked at `now` of the monotonic clock.
    pub(crate) fn applied(&self, hash: u64, now: Duration) {
        if let Some(slot) = self.slot(hash) {
            self.last.store(micros(now), Ordering::Release);
            // Zero is an empty slot; a microsecond does not matter.
            slot.store(tag(hash) | time(now).max(1), Ordering::Release);
        }
    }

    /// Returns `true` if an anchor was revoked recently enough for its lag to be reported.
    pub(crate) fn is_any(&self, now: Duration) -> bool {
        let last = self.last.load(Ordering::Acquire);
        last > 0 && micros(now).saturating_sub(last) <= micros(LONGEST_LAG)
    }

    /// Returns the time since the anchor was revoked, and removes it: a lag is reported once.
    pub(crate) fn take(&self, hash: u64, now: Duration) -> Option<Duration> {
        let slot = self.slot(hash)?;
        let word = slot.load(Ordering::Acquire);
        let is_it = word != 0 && word & !TIME_MASK == tag(hash);
        let took =
            is_it && slot.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        // The time wraps around every 12 days.
        let elapsed = time(now).wrapping_sub(word) & TIME_MASK;
        took.then(|| Duration::from_micros(elapsed)).filter(|elapsed| *elapsed <= LONGEST_LAG)
    }

    fn slot(&self, hash: u64) -> Option<&AtomicU64> {
        self.slots.get(hash as usize % SLOTS)
    }
}

/// Returns the high bits of the hash; the low ones choose the slot.
const fn tag(hash: u64) -> u64 {
    hash & !TIME_MASK
}

fn time(since: Duration) -> u64 {
    micros(since) & TIME_MASK
}

/// Returns the microseconds, at least 1: zero means "never".
fn micros(since: Duration) -> u64 {
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHOR: u64 = 0x1234_5678_9abc_def0;

    #[test]
    fn reports_lag_of_an_anchor_once() {
        let recent = Recent::new();
        let start = Duration::from_secs(100);
        recent.applied(ANCHOR, start);
        assert_eq!(recent.take(!ANCHOR, start), None);
        assert_eq!(recent.take(ANCHOR ^ (1 << 63), start), None, "same slot, another anchor");
        let lag = Duration::from_micros(250);
        assert_eq!(recent.take(ANCHOR, start + lag), Some(lag));
        assert_eq!(recent.take(ANCHOR, start + lag), None);
    }

    #[test]
    fn no_lag_to_report_after_a_minute() {
        let recent = Recent::new();
        assert!(!recent.is_any(Duration::from_secs(1)));
        recent.applied(ANCHOR, Duration::from_secs(1));
        assert!(recent.is_any(Duration::from_secs(61)));
        assert!(!recent.is_any(Duration::from_secs(62)));
    }

    #[test]
    fn ignores_lag_of_an_idle_client() {
        let recent = Recent::new();
        recent.applied(ANCHOR, Duration::from_secs(1));
        assert_eq!(recent.take(ANCHOR, Duration::from_secs(62)), None);
    }

    #[test]
    fn measures_lag_across_clock_wraparound() {
        let recent = Recent::new();
        let turn = Duration::from_micros(TIME_MASK);
        recent.applied(ANCHOR, turn - Duration::from_millis(1));
        let later = turn + Duration::from_millis(2);
        assert_eq!(recent.take(ANCHOR, later), Some(Duration::from_millis(3)));
    }
}
