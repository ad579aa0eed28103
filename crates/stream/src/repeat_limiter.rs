//! Limits how often work runs that others can trigger repeatedly. Any monotonic clock can supply
//! the times.

use std::time::Duration;

/// The time without work after which the next pause is the shortest one again.
const QUIET: Duration = Duration::from_secs(60);

/// Schedules work soon at first, and with longer pauses each time that it is needed again.
#[derive(Debug)]
pub(crate) struct RepeatLimiter {
    shortest: Duration,
    longest: Duration,
    pause: Duration,
    last: Option<Duration>,
}

impl RepeatLimiter {
    /// Creates a limiter whose pauses stay between these bounds.
    pub(crate) fn between(shortest: Duration, longest: Duration) -> Self {
        // The longest pause must not count as a quiet time.
        let longest = longest.min(QUIET / 2);
        Self { shortest: shortest.min(longest), longest, pause: shortest, last: None }
    }

    /// Returns the earliest time at which the work may run next.
    pub(crate) fn earliest(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |last| last.saturating_add(self.pause))
    }

    /// Records that the work is done now.
    pub(crate) fn done(&mut self, now: Duration) {
        let was_quiet = self.last.is_none_or(|last| now.saturating_sub(last) >= QUIET);
        self.pause = if was_quiet { self.shortest } else { (self.pause * 2).min(self.longest) };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn pauses_double_up_to_bound_and_reset_after_quiet() {
        let mut limiter = RepeatLimiter::between(second(1), second(20));
        assert_eq!(limiter.earliest(), Duration::ZERO);
        let mut now = second(100);
        for pause in [1, 2, 4, 8, 16, 20, 20, 20] {
            limiter.done(now);
            assert_eq!(limiter.earliest(), now + second(pause));
            now = limiter.earliest();
        }
        now += QUIET;
        limiter.done(now);
        assert_eq!(limiter.earliest(), now + second(1));
    }

    #[test]
    fn longest_pause_does_not_count_as_quiet() {
        let mut limiter = RepeatLimiter::between(second(1), second(1_000));
        let mut now = second(100);
        for _ in 0..20 {
            limiter.done(now);
            now = limiter.earliest();
        }
        limiter.done(now);
        assert_eq!(limiter.earliest(), now + QUIET / 2);
    }
}
