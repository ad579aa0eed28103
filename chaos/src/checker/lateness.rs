//! Decides from the measured delays of the heartbeat thread if the machine was too slow.
//!
//! A slow machine excuses nothing. The time limits of the rules hold for a machine that runs threads
//! in time, so a schedule on a slower one fails.

use std::time::Duration;

use crate::history::Late;
use crate::time::At;

/// The period in which the delays of the heartbeat thread are added up.
const PERIOD: Duration = Duration::from_secs(2);
/// The largest sum of delays in a period. A recovery has about four steps in several processes, and
/// each may be delayed by this much.
const MOST: Duration = Duration::from_millis(600);

/// A period in which the heartbeat thread was late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slowest {
    pub(super) at: At,
    pub(super) by: Duration,
}

impl Slowest {
    /// Returns `true` if the time limits of the rules do not hold for this machine.
    pub(super) fn is_too_slow(self) -> bool {
        self.by > MOST
    }
}

impl std::fmt::Display for Slowest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (by, period) = (self.by.as_millis(), PERIOD.as_secs());
        write!(
            f,
            "an idle thread was {by} ms late in {period} s, at most {} are allowed",
            MOST.as_millis()
        )
    }
}

/// Returns the period with the largest sum of delays. Expects the delays in the order of time.
pub(super) fn slowest(beats: &[Late]) -> Option<Slowest> {
    let mut first = 0;
    let mut by = Duration::ZERO;
    let mut worst: Option<Slowest> = None;
    for late in beats {
        by += late.by;
        while beats[first].at.plus(PERIOD) < late.at {
            by -= beats[first].by;
            first += 1;
        }
        if worst.is_none_or(|worst| worst.by < by) {
            worst = Some(Slowest { at: late.at, by });
        }
    }
    worst
}
