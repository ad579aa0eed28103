//! What a runner logs and counts of messages that have no effect: one line a minute of each kind.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::acl;
use caracal_revocation_stream::internal::LogError;
use metrics::counter;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(60);

/// The lines that others can cause any number of.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rejected: Throttle,
    trimmed: Throttle,
    unwritten: Throttle,
}

/// Counts events, and lets one line a minute through.
#[derive(Debug, Default)]
struct Throttle {
    last: Option<Instant>,
    count: usize,
}

impl Throttle {
    /// Counts more events; if a line is due, returns how many there were since the last.
    fn add(&mut self, count: usize, now: Instant) -> Option<usize> {
        self.count += count;
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= EVERY);
        (is_due && self.count > 0).then(|| {
            self.last = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

impl Report {
    /// The dead letter of a message that cannot be used was written, here if `is_written`.
    pub(crate) fn rejected(&mut self, stream: Stream, id: StreamId, error: &str, is_written: bool) {
        if is_written {
            counter!("caracal_gateway_revocation_dead_letters_total").increment(1);
        }
        if let Some(count) = self.rejected.add(1, Instant::now()) {
            tracing::error!(
                %stream, %id, error, count,
                "messages that cannot be used were dead-lettered, and have no effect"
            );
        }
    }

    /// An effect did not happen, and its dead letter was written.
    pub(crate) fn given_up(stream: Stream, id: StreamId, error: &str) {
        counter!("caracal_gateway_revocation_dead_letters_total").increment(1);
        tracing::error!(%stream, %id, error, "dead-lettered");
    }

    /// Messages left the stream while they were pending.
    pub(crate) fn trimmed(&mut self, stream: Stream, group: &str, ids: &[StreamId]) {
        let lost = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        counter!("caracal_revocation_effects_lost_total").increment(lost);
        if let Some(count) = self.trimmed.add(ids.len(), Instant::now()) {
            let first = ids.first().map(ToString::to_string).unwrap_or_default();
            tracing::error!(
                %stream, group, id = first, count,
                "messages were trimmed from the stream while they were pending: their effects may \
                 be missing; look at the dead letters for the ids"
            );
        }
    }

    /// A dead letter was not written.
    pub(crate) fn unwritten(&mut self, stream: Stream, error: &LogError) {
        if let Some(count) = self.unwritten.add(1, Instant::now()) {
            let rights = error.is_forbidden().then_some(acl::DEAD_LETTERS);
            tracing::error!(
                %stream, %error, rights, count,
                "dead letters of effects cannot be written: their messages stay pending; trying \
                 again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_counts_what_came_since_the_last() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.add(0, start), None);
        assert_eq!(throttle.add(2, start), Some(2));
        assert_eq!(throttle.add(3, start + EVERY / 2), None);
        assert_eq!(throttle.add(1, start + EVERY), Some(4));
    }
}
