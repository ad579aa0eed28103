//! Tracks signatures: whether the key is proven to be right, and whether messages fail
//! verification.

use std::time::Duration;

use caracal_revocation_state::Moment;

/// The time after the last failure at which an alarm ends, if other messages verify. Producers may
/// change their key one after the other, and a forger must not fill the log.
const ALARM_ENDS_AFTER: Duration = Duration::from_secs(60);

/// The results of verifying signatures. Publication times are by the server's clock, since the Unix
/// epoch. History is read stream by stream, so an old failure may be read late.
#[derive(Debug, Default)]
pub(crate) struct SignatureHealth {
    /// `true` if an accepted key has signed a message that this or the previous process read.
    key_is_proven: bool,
    /// The publication time of the newest message that an accepted key signed.
    verified: Option<Duration>,
    /// The publication time of the newest message that no accepted key signed.
    failed: Option<Duration>,
    /// The publication time of the first failed message of the current alarm.
    failing_since: Option<Moment>,
}

impl SignatureHealth {
    /// Records that an earlier process verified a message with the key.
    pub(crate) const fn prove_key(&mut self) {
        self.key_is_proven = true;
    }

    /// Records a message that an accepted key signed. Returns `true` if it is the first one.
    pub(crate) fn verified(&mut self, published: Duration) -> bool {
        self.verified = self.verified.max(Some(published));
        !std::mem::replace(&mut self.key_is_proven, true)
    }

    /// Records a message that no accepted key signed. `at` is its publication time by this
    /// machine's clocks.
    pub(crate) fn failed(&mut self, published: Duration, at: Moment) {
        self.settle(published);
        self.failed = self.failed.max(Some(published));
        let since = self.failing_since.filter(|since| since.monotonic <= at.monotonic);
        self.failing_since = Some(since.unwrap_or(at));
    }

    /// Ends the alarm if it is over at this time: a later message verified, and none has failed for
    /// a while.
    pub(crate) fn settle(&mut self, server_time: Duration) {
        let is_over = |failed| {
            self.verified > Some(failed) && server_time.saturating_sub(failed) >= ALARM_ENDS_AFTER
        };
        if self.failed.is_some_and(is_over) {
            self.failing_since = None;
        }
    }

    /// Returns `true` if an accepted key has signed a message.
    pub(crate) const fn key_is_proven(&self) -> bool {
        self.key_is_proven
    }

    /// Returns `true` if messages failed and none has ever verified.
    pub(crate) const fn none_verified(&self) -> bool {
        self.failed.is_some() && !self.key_is_proven
    }

    /// Returns the publication time of the first failed message of the current alarm.
    pub(crate) const fn failing_since(&self) -> Option<Moment> {
        self.failing_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn at(second: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) }
    }

    fn failed(health: &mut SignatureHealth, seconds: u64) {
        health.failed(second(seconds), at(seconds));
    }

    #[test]
    fn alarms_from_first_failure_until_a_minute_after_the_last() {
        let mut health = SignatureHealth::default();
        assert!(health.verified(second(9)));
        failed(&mut health, 10);
        failed(&mut health, 20);
        assert!(!health.verified(second(21)));
        health.settle(second(79));
        assert_eq!(health.failing_since(), Some(at(10)));
        health.settle(second(80));
        assert_eq!(health.failing_since(), None);
        failed(&mut health, 90);
        assert_eq!(health.failing_since(), Some(at(90)));
    }

    #[test]
    fn alarms_for_as_long_as_nothing_newer_verifies() {
        let mut health = SignatureHealth::default();
        health.verified(second(9));
        failed(&mut health, 10);
        health.settle(second(100_000));
        assert_eq!(health.failing_since(), Some(at(10)));
        health.verified(second(100_001));
        health.settle(second(100_001));
        assert_eq!(health.failing_since(), None);
    }

    #[test]
    fn old_failure_read_late_is_no_alarm() {
        let mut health = SignatureHealth::default();
        health.verified(second(1_000));
        failed(&mut health, 10);
        failed(&mut health, 500);
        health.settle(second(1_000));
        assert_eq!(health.failing_since(), None);
    }

    #[test]
    fn key_is_wrong_only_if_none_ever_verified() {
        let mut health = SignatureHealth::default();
        assert!(!health.none_verified(), "nothing was read");
        failed(&mut health, 10);
        assert!(health.none_verified());
        assert!(health.verified(second(5)));
        assert!(!health.none_verified());

        let mut restored = SignatureHealth::default();
        restored.prove_key();
        failed(&mut restored, 10);
        assert!(!restored.none_verified());
    }
}
