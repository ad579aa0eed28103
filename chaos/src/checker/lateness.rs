//! How much more time a slow machine is given, by what it was seen to take.

use std::time::Duration;

use crate::history::Late;
use crate::time::At;

/// Never less than this.
const FLOOR: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Lateness<'h>(&'h [Late]);

impl<'h> Lateness<'h> {
    /// In the order of time.
    pub(super) const fn of(beats: &'h [Late]) -> Self {
        Self(beats)
    }

    /// What is added to a time allowed between two moments: four times what our own thread, which
    /// had next to nothing to do, was kept waiting. A reader recovers in several steps of several
    /// processes, and each of them waits.
    pub(super) fn allowance(&self, from: At, to: At) -> Duration {
        let first = self.0.partition_point(|late| late.at < from);
        let waited: Duration =
            self.0[first..].iter().take_while(|late| late.at <= to).map(|late| late.by).sum();
        FLOOR + 4 * waited
    }
}
