//! How long to wait for a silent server: the connection may be dead, or the answer may only be late.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

/// The shortest and the longest grace of an answer. With the longest blocking read, the shortest stays
/// well below the 2 s in which a follower recovers.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// The grace of the next answer: twice the delay of the last one, so that a slow server that answers
/// does not count as gone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AdaptiveTimeout {
    /// The delay of the last answer, beyond the time that the server was asked to wait.
    lateness: Duration,
}

impl AdaptiveTimeout {
    /// Returns the time that the next answer may take beyond the time that the server was asked to wait.
    pub(crate) fn grace(self) -> Duration {
        (2 * self.lateness).clamp(SHORTEST, LONGEST)
    }

    /// Records the delay of an answer.
    pub(crate) const fn answered(&mut self, lateness: Duration) {
        self.lateness = lateness;
    }
}

/// Returns the outcome of the first attempt that finishes, and starts another attempt each second until
/// then: an attempt that started while the server was away may stay silent, and a later one succeeds.
pub(crate) async fn connect_hedged<F: Future>(attempt: impl Fn() -> F) -> F::Output {
    let mut attempts = FuturesUnordered::new();
    loop {
        attempts.push(attempt());
        // rule: silent-connection-is-hedged
        if let Ok(Some(outcome)) = timeout(SHORTEST, attempts.next()).await {
            return outcome;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[test]
    fn an_answer_may_be_twice_as_late_as_the_last_one_within_limits() {
        let grace = |lateness| {
            let mut adaptive = AdaptiveTimeout::default();
            adaptive.answered(Duration::from_millis(lateness));
            adaptive.grace().as_millis()
        };
        assert_eq!([0, 3, 500, 800, 9_000].map(grace), [1_000, 1_000, 1_000, 1_600, 5_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_attempt_gets_through_while_the_first_is_silent() {
        let began = Instant::now();
        let attempts = Cell::new(0);
        let attempt = || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() == 1 { pending().await } else { attempts.get() }
        };
        assert_eq!(connect_hedged(attempt).await, 2);
        assert!(began.elapsed() < Duration::from_millis(1_100), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_slow_is_not_given_up() {
        let began = Instant::now();
        connect_hedged(|| sleep(Duration::from_millis(2_500))).await;
        assert!(began.elapsed() < Duration::from_millis(2_600), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_refusal_is_an_outcome() {
        assert_eq!(connect_hedged(|| async { Err::<(), _>("WRONGPASS") }).await, Err("WRONGPASS"));
    }
}
