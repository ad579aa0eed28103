//! A reader's clock, whose wall clock a fault can step.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use caracal_revocation::state::{Clock, Moment, SystemClock};

#[derive(Debug, Default)]
pub struct SteppedClock {
    system: SystemClock,
    /// The milliseconds by which the wall clock is ahead of the machine's.
    ahead: AtomicI64,
}

impl SteppedClock {
    pub fn step_to(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
    }

    fn stepped(&self, now: Moment) -> Moment {
        let ahead = self.ahead.load(Ordering::SeqCst);
        let by = Duration::from_millis(ahead.unsigned_abs());
        let wall = if ahead < 0 { now.wall.saturating_sub(by) } else { now.wall + by };
        Moment { wall, ..now }
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Moment {
        self.stepped(self.system.now())
    }

    fn now_coarse(&self) -> Moment {
        self.stepped(self.system.now_coarse())
    }
}
