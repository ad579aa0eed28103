//! The deadline of an answer that arrives in pieces.

use std::time::Duration;

use tokio::time::Instant;

/// The lowest rate of an answer that is waited for, in bytes per second.
const SLOWEST: u64 = 16 << 10;

/// A deadline that each byte renews, as long as bytes arrive fast enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveDeadline {
    /// The longest accepted time without a byte.
    pub(super) silence_limit: Duration,
    begun: Instant,
    last: Instant,
    received: u64,
    /// The longest time without a byte until now.
    silence: Duration,
}

impl ReceiveDeadline {
    /// Creates a deadline that accepts `silence_limit` without a byte.
    pub(super) fn new(silence_limit: Duration) -> Self {
        let now = Instant::now();
        Self { silence_limit, begun: now, last: now, received: 0, silence: Duration::ZERO }
    }

    /// Returns the moment at which the next bytes are late.
    pub(super) fn until(&self) -> Instant {
        let earned = Duration::from_millis(self.received * 1_000 / SLOWEST);
        (self.begun + self.silence_limit + earned).min(self.last + self.silence_limit)
    }

    /// Records that bytes arrived now.
    pub(super) fn received(&mut self, bytes: usize) {
        let now = Instant::now();
        self.silence = self.silence.max(now.duration_since(self.last));
        self.last = now;
        self.received += bytes as u64;
    }

    /// Returns the time from the start to the last byte.
    pub(super) fn took(&self) -> Duration {
        self.last.duration_since(self.begun)
    }

    /// Returns the longest time without a byte until now.
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
        let mut deadline = ReceiveDeadline::new(2 * SECOND);
        for _ in 0..60 {
            advance(SECOND).await;
            assert!(Instant::now() < deadline.until());
            deadline.received(16 << 10);
        }
        assert_eq!(
            deadline.until() - Instant::now(),
            2 * SECOND,
            "silence is not waited for any longer"
        );
        assert_eq!(deadline.silence(), SECOND);
        advance(SECOND).await;
        assert_eq!(deadline.took(), 60 * SECOND, "up to the last byte");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_dribble_do_not_renew_the_deadline() {
        let mut deadline = ReceiveDeadline::new(2 * SECOND);
        advance(SECOND).await;
        deadline.received(1);
        advance(SECOND).await;
        deadline.received(1);
        assert!(deadline.until() - Instant::now() < SECOND / 10);
    }
}
