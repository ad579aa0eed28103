//! An adaptive timeout for a silent server: its connection may be dead, or its answer late.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

/// The shortest grace of an answer. The shortest grace and the longest blocking read together stay
/// well below the 2 s in which a follower recovers.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// The grace of the next answer: twice the delay of the last one. So a slow server that still
/// answers does not count as gone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AdaptiveTimeout {
    /// The delay of the last answer, beyond the blocking time of the read.
    lateness: Duration,
}

impl AdaptiveTimeout {
    /// Returns the time that the next answer may take beyond the blocking time of the read.
    pub(crate) fn grace(self) -> Duration {
        (2 * self.lateness).clamp(SHORTEST, LONGEST)
    }

    /// Records the delay of an answer.
    pub(crate) const fn answered(&mut self, lateness: Duration) {
        self.lateness = lateness;
    }
}

/// Returns the outcome of the first attempt that finishes, and starts another attempt each second
/// until then. An attempt that started while the server was away may stay silent, and a later one
/// succeeds.
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
    fn allows_twice_the_last_delay_within_limits() {
        let grace = |lateness| {
            let mut adaptive = AdaptiveTimeout::default();
            adaptive.answered(Duration::from_millis(lateness));
            adaptive.grace().as_millis()
        };
        assert_eq!([0, 3, 500, 800, 9_000].map(grace), [1_000, 1_000, 1_000, 1_600, 5_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn second_attempt_succeeds_while_first_is_silent() {
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
    async fn keeps_slow_attempt() {
        let began = Instant::now();
        connect_hedged(|| sleep(Duration::from_millis(2_500))).await;
        assert!(began.elapsed() < Duration::from_millis(2_600), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn returns_error_of_first_attempt() {
        assert_eq!(connect_hedged(|| async { Err::<(), _>("WRONGPASS") }).await, Err("WRONGPASS"));
    }
}
