//! The pauses between failed attempts.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses that double up to a maximum and never end. A random part is added to each, so that
/// replicas do not retry in step.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    pauses: ExponentialBackoff,
}

impl Backoff {
    /// Creates pauses that begin at `first` and double up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, pauses: pauses(first, longest) }
    }

    /// Starts over, after a successful attempt.
    pub fn reset(&mut self) {
        self.pauses = pauses(self.first, self.longest);
    }

    /// Returns the pause before the next attempt.
    pub fn next_pause(&mut self) -> Duration {
        self.pauses.next().unwrap_or(self.longest)
    }
}

fn pauses(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_millis(500);

    fn is_between(pause: Duration, least: Duration) -> bool {
        (least..=2 * least).contains(&pause)
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        for doublings in 0..4 {
            assert!(is_between(backoff.next_pause(), FIRST * (1 << doublings)));
        }
        for _ in 0..100 {
            assert!(
                is_between(backoff.next_pause(), LONGEST) || backoff.next_pause() <= LONGEST * 2
            );
        }
        backoff.reset();
        assert!(is_between(backoff.next_pause(), FIRST));
    }
}
