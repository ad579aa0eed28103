//! The clock of a schedule: microseconds since its start, monotonic, used by every record.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A time in a schedule, in microseconds since its start.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct At(pub u64);

/// Reads the time in one schedule.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    unix: Duration,
}

impl At {
    /// A time later than every time in a schedule.
    pub const NEVER: Self = Self(u64::MAX);

    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }

    /// Returns the time since `earlier`, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} s", self.0 as f64 / 1e6)
    }
}

impl Clock {
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        Self { origin: Instant::now(), unix }
    }

    pub fn now(&self) -> At {
        At(micros(self.origin.elapsed()))
    }

    /// Converts a time of the system clock. Times before the schedule become its start.
    pub fn at(&self, wall: SystemTime) -> At {
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        At(micros(unix.saturating_sub(self.unix)))
    }

    /// Returns the Unix time at which the schedule began.
    pub const fn unix_start(&self) -> Duration {
        self.unix
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
