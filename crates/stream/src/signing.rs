//! Whether messages verify, as far as it can be told from those that did and did not.

use caracal_revocation_event::StreamId;
use caracal_revocation_state::Moment;

/// What the signatures seen so far say.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    /// When the newest message was published that verified.
    verified: Option<u64>,
    /// Whether one was ever refused for its signature.
    refused: bool,
    /// Since when messages are refused that are newer than any that verified.
    failing_since: Option<Moment>,
}

impl Signing {
    /// A message was signed with an accepted key.
    pub(crate) fn verified(&mut self, id: StreamId) {
        self.verified = self.verified.max(Some(id.ms));
        self.failing_since = None;
    }

    /// One was not. History is read stream by stream, so an old failure may come late.
    pub(crate) fn refused(&mut self, id: StreamId, now: Moment) {
        self.refused = true;
        if self.verified.is_none_or(|verified| id.ms > verified) {
            self.failing_since.get_or_insert(now);
        }
    }

    /// Whether nothing that arrived could be believed: more likely a wrong key than a forger.
    pub(crate) const fn none_verified(&self) -> bool {
        self.refused && self.verified.is_none()
    }

    /// Since when no message was verified after one that was not.
    pub(crate) const fn failing_since(&self) -> Option<Moment> {
        self.failing_since
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) }
    }

    #[test]
    fn failures_count_from_the_first_until_a_success() {
        let mut signing = Signing::default();
        signing.refused(StreamId::new(10, 0), at(1));
        signing.refused(StreamId::new(11, 0), at(2));
        assert_eq!(signing.failing_since(), Some(at(1)));
        assert!(signing.none_verified());
        signing.verified(StreamId::new(12, 0));
        assert_eq!(signing.failing_since(), None);
        assert!(!signing.none_verified());
        signing.refused(StreamId::new(13, 0), at(4));
        assert_eq!(signing.failing_since(), Some(at(4)));
    }

    #[test]
    fn a_failure_older_than_a_success_is_history() {
        let mut signing = Signing::default();
        signing.verified(StreamId::new(12, 0));
        signing.refused(StreamId::new(12, 0), at(1));
        assert_eq!(signing.failing_since(), None);
    }
}
