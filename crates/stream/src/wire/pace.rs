//! How long the next bytes of an answer are waited for.

use std::time::Duration;

use tokio::time::Instant;

/// An answer that comes more slowly than this, in bytes a second, is given up.
const SLOWEST: u64 = 16 << 10;

/// A deadline that each byte renews, as long as they come fast enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) deadline: Duration,
    begun: Instant,
    last: Instant,
    received: u64,
    /// The longest time without a byte so far.
    silence: Duration,
}

impl Pace {
    /// Silence may last as long as `deadline`.
    pub(super) fn new(deadline: Duration) -> Self {
        let now = Instant::now();
        Self { deadline, begun: now, last: now, received: 0, silence: Duration::ZERO }
    }

    /// The moment at which the next bytes are late.
    pub(super) fn until(&self) -> Instant {
        let earned = Duration::from_millis(self.received * 1_000 / SLOWEST);
        (self.begun + self.deadline + earned).min(self.last + self.deadline)
    }

    pub(super) fn received(&mut self, bytes: usize) {
        let now = Instant::now();
        self.silence = self.silence.max(now.duration_since(self.last));
        self.last = now;
        self.received += bytes as u64;
    }

    pub(super) const fn silence(&self) -> Duration {
        self.silence
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn bytes_that_come_fast_enough_renew_the_deadline() {
        let mut pace = Pace::new(2 * SECOND);
        for _ in 0..60 {
            advance(SECOND).await;
            assert!(Instant::now() < pace.until());
            pace.received(16 << 10);
        }
        assert_eq!(
            pace.until() - Instant::now(),
            2 * SECOND,
            "and silence is no longer waited for"
        );
        assert_eq!(pace.silence(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_dribble_do_not_renew_the_deadline() {
        let mut pace = Pace::new(2 * SECOND);
        advance(SECOND).await;
        pace.received(1);
        advance(SECOND).await;
        pace.received(1);
        assert!(pace.until() - Instant::now() < SECOND / 10);
    }
}
