//! Time, which is passed in: a monotonic and a wall clock, read together.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use crate::limits::HEAD_START;

/// One reading of both clocks.
///
/// ```
/// use caracal_revocation_state::Moment;
/// use std::time::Duration;
/// let before = Moment { monotonic: Duration::from_secs(10), wall: Duration::from_secs(1_000) };
/// // The machine slept: its monotonic clock stood still, the wall clock did not.
/// let after = Moment { monotonic: Duration::from_secs(11), wall: Duration::from_secs(1_090) };
/// assert_eq!(after.elapsed_since(before), Duration::from_secs(90));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since an arbitrary start in this process; never goes back.
    pub monotonic: Duration,
    /// Time since the Unix epoch, by this machine's wall clock.
    pub wall: Duration,
}

impl Moment {
    /// Returns the time since `earlier`, by the clock that shows the larger difference. A suspended
    /// machine stops the monotonic clock, and setting the wall clock back shortens its difference.
    #[inline]
    #[must_use]
    pub fn elapsed_since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        monotonic.max(self.wall.saturating_sub(earlier.wall))
    }

    /// Returns the earlier reading of each clock. The [`Moment::elapsed_since`] of the result is at
    /// least that of either moment, even if the wall clock was set back between them.
    #[must_use]
    pub fn earlier_of(self, other: Self) -> Self {
        Self { monotonic: self.monotonic.min(other.monotonic), wall: self.wall.min(other.wall) }
    }

    /// Returns the moment `by` before this one, on both clocks.
    #[must_use]
    pub const fn earlier_by(self, by: Duration) -> Self {
        Self { monotonic: self.monotonic.saturating_sub(by), wall: self.wall.saturating_sub(by) }
    }
}

/// A second of the wall clock, counted from the Unix epoch: the unit of `iat`, `exp` and horizons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnixSeconds(i64);

impl UnixSeconds {
    /// A second that is later than the `iat` of every token.
    pub(crate) const MAX: Self = Self(i64::MAX);

    #[inline]
    pub(crate) const fn new(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Returns the second of this moment.
    #[inline]
    pub(crate) fn of(now: Moment) -> Self {
        Self(i64::try_from(now.wall.as_secs()).unwrap_or(i64::MAX))
    }

    #[inline]
    pub(crate) const fn get(self) -> i64 {
        self.0
    }

    /// Returns the second `by` after this one. Ignores fractions of a second.
    #[inline]
    pub(crate) const fn later_by(self, by: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(by.as_secs()))
    }

    /// Returns the second `by` before this one. Ignores fractions of a second.
    #[inline]
    pub(crate) const fn earlier_by(self, by: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(by.as_secs()))
    }

    /// Returns the time from `now` to the start of this second; zero if it has begun.
    pub(crate) fn time_left(self, now: Moment) -> Duration {
        Duration::from_secs(u64::try_from(self.0).unwrap_or(0)).saturating_sub(now.wall)
    }
}

/// A whole minute of the process's monotonic clock, by which index entries expire; 2^24 of them are
/// 31 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Minute(u32);

impl Minute {
    #[cfg(test)]
    pub(crate) const fn new(minute: u32) -> Self {
        Self(minute)
    }

    /// Returns the minute in which the monotonic clock reads `since`.
    pub(crate) fn of(since: Duration) -> Self {
        Self(whole_minutes(since))
    }

    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// Returns the minute that is `minutes` after this one.
    pub(crate) const fn later_by(self, minutes: u32) -> Self {
        Self(self.0.saturating_add(minutes))
    }

    /// Returns the number of minutes from `earlier` to this one; zero if `earlier` is later.
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Returns the whole minutes of a duration.
pub(crate) fn whole_minutes(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs() / 60).unwrap_or(u32::MAX)
}

/// Returns the nanoseconds of a duration; 2^64 of them are 584 years.
#[inline]
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(duration.subsec_nanos() as u64)
}

/// The source of time.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Moment;

    /// Reads both clocks at lower cost, for a decision. The wall clock may lag by one tick of the
    /// machine's timer, 1 to 10 ms. That matters only after the monotonic clock stopped.
    fn now_coarse(&self) -> Moment {
        self.now()
    }
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Creates a clock whose monotonic reading starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { monotonic: self.monotonic(), wall: precise_wall() }
    }

    #[cfg(target_os = "linux")]
    fn now_coarse(&self) -> Moment {
        Moment { monotonic: self.monotonic(), wall: coarse_wall() }
    }
}

impl SystemClock {
    fn monotonic(&self) -> Duration {
        HEAD_START + self.origin.elapsed()
    }
}

fn precise_wall() -> Duration {
    // A wall clock before 1970 reads as 1970; the monotonic clock still works.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// Returns the time of the kernel's last tick, for a quarter of the cost of the precise time.
#[cfg(target_os = "linux")]
fn coarse_wall() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::RealtimeCoarse)).unwrap_or(Duration::ZERO)
}

/// A clock that moves only when a test moves it, so that tests never sleep.
///
/// ```
/// use caracal_revocation_state::{Clock, ManualClock};
/// use std::time::Duration;
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().elapsed_since(start), Duration::from_secs(60));
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<Moment>);

impl ManualClock {
    /// Creates a clock that starts in November 2026.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Moment {
            monotonic: Duration::from_secs(1),
            wall: Duration::from_secs(1_795_400_000),
        }))
    }

    /// Moves the monotonic and the wall clock forward.
    pub fn advance(&self, by: Duration) {
        self.set(|moment| Moment { monotonic: moment.monotonic + by, wall: moment.wall + by });
    }

    /// Moves only the wall clock, as on a machine that was suspended.
    pub fn advance_wall(&self, by: Duration) {
        self.set(|moment| Moment { wall: moment.wall + by, ..moment });
    }

    /// Sets only the wall clock back.
    pub fn set_wall_back(&self, by: Duration) {
        self.set(|moment| Moment { wall: moment.wall.saturating_sub(by), ..moment });
    }

    fn set(&self, change: impl FnOnce(Moment) -> Moment) {
        let mut moment = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *moment = change(*moment);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_is_that_of_the_clock_that_moved_further() {
        let at = |monotonic, wall| Moment {
            monotonic: Duration::from_secs(monotonic),
            wall: Duration::from_secs(wall),
        };
        for (now, seconds) in [
            (at(10, 100), 0),
            (at(13, 100), 3),
            (at(10, 104), 4),
            (at(13, 102), 3),
            (at(12, 103), 3),
            (at(13, 50), 3),
            (at(5, 50), 0),
        ] {
            assert_eq!(now.elapsed_since(at(10, 100)), Duration::from_secs(seconds), "{now:?}");
        }
        assert_eq!(at(10, 100).earlier_of(at(9, 200)), at(9, 100));
        assert_eq!(at(10, 100).earlier_by(Duration::from_secs(11)), at(0, 89));
    }

    #[test]
    fn second_of_a_moment_is_rounded_down_and_bounded() {
        let second = |wall| UnixSeconds::of(Moment { monotonic: Duration::ZERO, wall }).get();
        assert_eq!(second(Duration::from_millis(7_999)), 7);
        assert_eq!(second(Duration::MAX), i64::MAX);
        assert_eq!(Minute::new(7).since(Minute::new(3)), 4);
        assert_eq!(Minute::new(3).since(Minute::new(7)), 0);
    }

    #[test]
    fn monotonic_time_begins_with_the_head_start_and_grows() {
        let clock = SystemClock::new();
        let first = clock.now().monotonic;
        assert!(first >= HEAD_START && first < HEAD_START + Duration::from_secs(3_600));
        let start = Instant::now();
        while clock.now().monotonic == first {
            assert!(start.elapsed() < Duration::from_secs(60), "the clock stands still");
        }
    }

    #[test]
    fn coarse_reading_matches_the_precise_one() {
        let clock = SystemClock::new();
        let (before, now_coarse, after) = (clock.now(), clock.now_coarse(), clock.now());
        assert!(
            before.monotonic <= now_coarse.monotonic && now_coarse.monotonic <= after.monotonic
        );
        // The wall clock may be set during the test, but not by this much.
        assert!(now_coarse.wall.abs_diff(before.wall) < Duration::from_secs(60), "{now_coarse:?}");
    }
}
