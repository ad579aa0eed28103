//! The extra time that a slow machine gets, from the measured delays of the heartbeat thread.

use std::time::Duration;

use crate::history::Late;
use crate::time::At;

/// The extra time that every period gets, even without measured delays.
const FLOOR: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Lateness<'h>(&'h [Late]);

impl<'h> Lateness<'h> {
    /// Expects the delays in the order of time.
    pub(super) const fn of(beats: &'h [Late]) -> Self {
        Self(beats)
    }

    /// Returns the time to add to a limit for a period: four times the delay of the heartbeat
    /// thread in it, which had almost nothing to do. A reader recovers in several steps in several
    /// processes, and each of them is delayed.
    pub(super) fn allowance(&self, from: At, to: At) -> Duration {
        let first = self.0.partition_point(|late| late.at < from);
        let waited: Duration =
            self.0[first..].iter().take_while(|late| late.at <= to).map(|late| late.by).sum();
        FLOOR + 4 * waited
    }
}
