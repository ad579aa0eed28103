//! The pace of publishing: how many messages go into one write, and when it is due.

use std::time::Duration;

/// The most writes a second.
const WRITES: u32 = 10;
/// The most messages in one write: all must be answered within two seconds.
const MAX_WRITE: u32 = 1_000;

/// Publishes at most this many messages a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate: u32,
}

impl Pace {
    pub(super) const fn new(rate: u32) -> Self {
        Self { rate }
    }

    /// Returns the number of messages in one write.
    pub(super) fn write(self) -> usize {
        (self.rate / WRITES).clamp(1, MAX_WRITE) as usize
    }

    /// Returns the time at which the next write is due, after a write of `sent` messages that was
    /// due at `due` and began at `began`. A late write delays those after it: a pause is never made
    /// up for by a burst.
    pub(super) fn next(self, due: Duration, began: Duration, sent: usize) -> Duration {
        let sent = u32::try_from(sent).unwrap_or(u32::MAX);
        due.max(began) + Duration::from_secs(1).saturating_mul(sent) / self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_exceeds_the_rate_after_the_first_write() {
        for rate in [1, 3, 10, 999, 5_000, 100_000] {
            let pace = Pace::new(rate);
            let (mut due, mut sent) = (Duration::ZERO, 0);
            for _ in 0..50 {
                let allowed = due.as_secs_f64() * f64::from(rate);
                assert!(sent as f64 <= allowed + 0.001, "{rate}: {sent}, {allowed}");
                due = pace.next(due, due, pace.write());
                sent += pace.write();
            }
        }
        let writes = [1, 9, 10, 5_000, 100_000].map(|rate| Pace::new(rate).write());
        assert_eq!(writes, [1, 1, 1, 500, 1_000]);
    }

    #[test]
    fn does_not_make_up_for_a_pause() {
        let pace = Pace::new(1_000);
        let second = pace.next(Duration::ZERO, Duration::from_secs(5), 100);
        assert_eq!(second, Duration::from_millis(5_100));
        // An early start does not bring the next write forward.
        assert_eq!(pace.next(second, Duration::ZERO, 100), Duration::from_millis(5_200));
    }
}
