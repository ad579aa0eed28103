//! Limits log lines about lasting conditions, and about events that others can repeat. Time is
//! passed in, from any clock that does not go back.

use std::time::Duration;

/// The time within which a condition that ends and returns counts as one that continues.
pub const CALM: Duration = Duration::from_secs(5);
/// The largest number of reasons that one episode logs.
const MAX_REASONS: usize = 16;
/// The shortest time between two lines that others can repeat.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// A lasting condition, such as an outage. The log gets one line for each of its reasons, and one
/// when it has ended.
#[derive(Debug)]
pub struct Episode<R = ()> {
    delay: Duration,
    calm: Duration,
    since: Option<Duration>,
    /// The time at which the condition ended, until `calm` has passed since then.
    over_since: Option<Duration>,
    /// The reasons that were logged.
    logged: Vec<R>,
}

impl<R> Default for Episode<R> {
    fn default() -> Self {
        let (delay, calm) = (Duration::ZERO, Duration::ZERO);
        Self { delay, calm, since: None, over_since: None, logged: Vec::new() }
    }
}

impl<R: PartialEq> Episode<R> {
    /// Logs the condition only once it has lasted for `delay`.
    pub fn logged_after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Ends the episode only once the condition has been over for `calm`. The caller must call
    /// [`Self::is_over`] repeatedly.
    pub fn over_after(self, calm: Duration) -> Self {
        Self { calm, ..self }
    }

    /// Records that the condition begins or continues. Returns `true` if this must be logged.
    pub fn goes_on(&mut self, reason: R, now: Duration) -> bool {
        self.over_since = None;
        let since = *self.since.get_or_insert(now);
        let must_log = now.saturating_sub(since) >= self.delay
            && self.logged.len() < MAX_REASONS
            && !self.has_logged(&reason);
        if must_log {
            self.logged.push(reason);
        }
        must_log
    }

    /// Records that the condition does not hold. Returns `true` if its end must be logged.
    pub fn is_over(&mut self, now: Duration) -> bool {
        if self.logged.is_empty() {
            self.since = None;
            return false;
        }
        let over_since = *self.over_since.get_or_insert(now);
        let has_ended = now.saturating_sub(over_since) >= self.calm;
        if has_ended {
            self.since = None;
            self.over_since = None;
            self.logged.clear();
        }
        has_ended
    }

    /// Returns `true` if this reason was logged and the end was not.
    pub fn has_logged(&self, reason: &R) -> bool {
        self.logged.contains(reason)
    }
}

/// Log lines that others can repeat: at most one a minute.
#[derive(Debug, Default)]
pub struct Throttle {
    last: Option<Duration>,
    count: usize,
}

impl Throttle {
    /// Counts more events. If a line is due, returns the number of events since the last line.
    pub fn add(&mut self, count: usize, now: Duration) -> Option<usize> {
        self.count += count;
        let is_due = self.last.is_none_or(|last| now.saturating_sub(last) >= LINE_INTERVAL);
        (is_due && self.count > 0).then(|| {
            self.last = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn episode_logs_each_reason_once_and_its_end_once() {
        let mut episode = Episode::default();
        assert!(!episode.is_over(second(0)));
        assert!(episode.goes_on("refused", second(1)));
        assert!(!episode.goes_on("refused", second(2)));
        assert!(episode.goes_on("timeout", second(3)));
        assert!(!episode.goes_on("refused", second(4)));
        assert!(episode.is_over(second(5)));
        assert!(!episode.is_over(second(6)));
        assert!(episode.goes_on("refused", second(7)));
    }

    #[test]
    fn condition_that_ends_and_returns_is_one_episode() {
        let mut episode = Episode::default().over_after(CALM);
        assert!(episode.goes_on((), second(0)));
        for again in 1..50 {
            assert!(!episode.is_over(second(3 * again)));
            assert!(!episode.goes_on((), second(3 * again + 1)));
        }
        assert!(!episode.is_over(second(200)));
        assert!(!episode.is_over(second(204)));
        assert!(episode.is_over(second(205)));
    }

    #[test]
    fn episode_shorter_than_its_delay_is_not_logged() {
        let mut episode = Episode::default().logged_after(second(5));
        for start in [0, 100] {
            assert!(!episode.goes_on((), second(start)));
            assert!(!episode.goes_on((), second(start + 4)));
            assert!(!episode.is_over(second(start + 5)));
        }
        assert!(!episode.goes_on((), second(200)));
        assert!(episode.goes_on((), second(205)));
        assert!(episode.is_over(second(206)));
    }

    #[test]
    fn episode_with_ever_new_reasons_is_bounded() {
        let mut episode = Episode::default();
        let logged = (0..1_000).filter(|reason| episode.goes_on(*reason, second(1))).count();
        assert_eq!(logged, MAX_REASONS);
    }

    #[test]
    fn throttle_counts_events_between_lines() {
        let mut throttle = Throttle::default();
        let lines: Vec<_> = (0..121).filter_map(|at| throttle.add(1, second(at))).collect();
        assert_eq!(lines, [1, 60, 60]);
        assert_eq!(throttle.add(0, second(1_000)), None);
        assert_eq!(throttle.add(3, second(1_001)), Some(3));
    }
}
