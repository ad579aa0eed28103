//! How often work is done that others can ask for again and again. Time is passed in, by any clock
//! that does not go back.

use std::time::Duration;

/// After so long without it, the work is done soon again.
const QUIET: Duration = Duration::from_secs(60);

/// Work that is done soon when it is asked for once, and ever less often when it is asked for again.
#[derive(Debug)]
pub(crate) struct Pace {
    shortest: Duration,
    longest: Duration,
    pause: Duration,
    last: Option<Duration>,
}

impl Pace {
    /// Pauses between these bounds.
    pub(crate) fn between(shortest: Duration, longest: Duration) -> Self {
        // What is done in the longest pauses is not to count as quiet.
        let longest = longest.min(QUIET / 2);
        Self { shortest: shortest.min(longest), longest, pause: shortest, last: None }
    }

    /// When the work may be done next.
    pub(crate) fn earliest(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |last| last.saturating_add(self.pause))
    }

    /// The work is done now.
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
    fn pauses_double_up_to_a_bound_and_start_over_after_quiet() {
        let mut pace = Pace::between(second(1), second(20));
        assert_eq!(pace.earliest(), Duration::ZERO);
        let mut now = second(100);
        for pause in [1, 2, 4, 8, 16, 20, 20, 20] {
            pace.done(now);
            assert_eq!(pace.earliest(), now + second(pause));
            now = pace.earliest();
        }
        now += QUIET;
        pace.done(now);
        assert_eq!(pace.earliest(), now + second(1));
    }

    #[test]
    fn longest_pause_does_not_count_as_quiet() {
        let mut pace = Pace::between(second(1), second(1_000));
        let mut now = second(100);
        for _ in 0..20 {
            pace.done(now);
            now = pace.earliest();
        }
        pace.done(now);
        assert_eq!(pace.earliest(), now + QUIET / 2);
    }
}
