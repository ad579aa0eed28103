//! How long a silent server is waited for: a connection may have died without a word, and an
//! answer may just be late.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

/// What an answer may take at least, beyond the time that the server was asked to wait. With the
/// longest wait it stays well below the 2 s in which a follower recovers.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// How late the next answer may be: twice as late as the last one was, so that a server that is
/// slow and answers is not taken for one that is gone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// Of the last answer, beyond the time that the server was asked to wait.
    lateness: Duration,
}

impl Patience {
    pub(crate) fn grace(self) -> Duration {
        (2 * self.lateness).clamp(SHORTEST, LONGEST)
    }

    pub(crate) const fn answered(&mut self, lateness: Duration) {
        self.lateness = lateness;
    }
}

/// The outcome of the first attempt that has one. While there is none another is begun each
/// second: one that began while the server was away may stay silent, and a later one get through.
pub(crate) async fn race<F: Future>(attempt: impl Fn() -> F) -> F::Output {
    let mut attempts = FuturesUnordered::new();
    loop {
        attempts.push(attempt());
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
            let mut patience = Patience::default();
            patience.answered(Duration::from_millis(lateness));
            patience.grace().as_millis()
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
        assert_eq!(race(attempt).await, 2);
        assert!(began.elapsed() < Duration::from_millis(1_100), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_slow_is_not_given_up() {
        let began = Instant::now();
        race(|| sleep(Duration::from_millis(2_500))).await;
        assert!(began.elapsed() < Duration::from_millis(2_600), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_refusal_is_an_outcome() {
        assert_eq!(race(|| async { Err::<(), _>("WRONGPASS") }).await, Err("WRONGPASS"));
    }
}
