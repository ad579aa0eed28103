//! Spaces the questions for the counters of each stream: the larger the answer, the longer the
//! interval.
//!
//! `XINFO STREAM` returns the counters together with the first and the last entry of the stream, of
//! any size. No other command returns the counters.

use std::time::Duration;

use caracal_revocation_event::Stream;
use tokio::time::Instant;

use crate::entry::PerStream;

/// The longest interval while entries arrive one by one. A question with each entry would cost the
/// server more than the entry. It is half of the time for which a read waits.
const EVERY: Duration = Duration::from_millis(250);
/// The number of those intervals within the staleness bound, if that is short.
const SMALL_IN_BOUND: u32 = 8;
/// The largest answer, in bytes, that does not lengthen the interval.
const SMALL: u64 = 32 << 10;
/// The number of bytes a second that larger answers may take: it lengthens their interval.
const RATE: u64 = 2 << 20;
/// The longest interval: well within the time after which a late view is reported.
const LONGEST: Duration = Duration::from_secs(2);
/// The number of intervals within the staleness bound. So an answer that takes half of the bound
/// leaves the view fresh.
const IN_BOUND: u32 = 3;

/// The form of the question for the counters of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// `XINFO STREAM … FULL`, whose answer lacks the last entry.
    Full,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// The time of the last question on this connection.
    sent_at: Option<Instant>,
    /// The size of the last answer, in bytes.
    size: u64,
}

/// The last question and answer of each stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spacing(PerStream<Last>);

/// Returns the interval of small counters while reads wait, for this staleness bound.
pub(super) fn shortest_interval(bound: Duration) -> Duration {
    EVERY.min(bound / SMALL_IN_BOUND)
}

impl Spacing {
    /// Makes the counters of all streams due, for a new connection.
    pub(super) fn restart(&mut self) {
        self.0.iter_mut().for_each(|last| last.sent_at = None);
    }

    /// Makes the counters of this stream due.
    pub(super) fn hasten(&mut self, stream: Stream) {
        if let Some(last) = self.0.get_mut(stream.index()) {
            last.sent_at = None;
        }
    }

    /// Returns the time until the counters of this stream are due, at most a third of `bound` after
    /// the last question. `is_reading` is `true` while reads do not wait: small counters then cost
    /// little compared to the entries.
    pub(super) fn due_in(&self, stream: Stream, is_reading: bool, bound: Duration) -> Duration {
        let last = self.last(stream);
        let shortest = shortest_interval(bound);
        let every = match last.size {
            ..=SMALL if is_reading => Duration::ZERO,
            ..=SMALL => shortest,
            size => Duration::from_millis(size * 1_000 / RATE)
                .clamp(shortest, LONGEST.min(bound / IN_BOUND)),
        };
        last.sent_at.map_or(Duration::ZERO, |sent_at| every.saturating_sub(sent_at.elapsed()))
    }

    pub(super) fn form(&self, stream: Stream) -> Form {
        if self.last(stream).size > SMALL { Form::Full } else { Form::Plain }
    }

    pub(super) fn sent(&mut self, stream: Stream) {
        if let Some(last) = self.0.get_mut(stream.index()) {
            last.sent_at = Some(Instant::now());
        }
    }

    pub(super) fn answered(&mut self, stream: Stream, size: u64) {
        if let Some(last) = self.0.get_mut(stream.index()) {
            last.size = size;
        }
    }

    /// Makes small counters due, since no entry arrived. Returns `true` if there are any.
    pub(super) fn hurry(&mut self, streams: &[Stream]) -> bool {
        let mut any = false;
        for stream in streams {
            if let Some(last) = self.0.get_mut(stream.index()).filter(|last| last.size <= SMALL) {
                last.sent_at = None;
                any = true;
            }
        }
        any
    }

    fn last(&self, stream: Stream) -> Last {
        self.0.get(stream.index()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn spaces_larger_counters_further_within_bound() {
        let mut spacing = Spacing::default();
        let stream = Stream::SessionsRevoke;
        let minute = Duration::from_secs(60);
        assert_eq!(spacing.due_in(stream, false, minute), Duration::ZERO);
        spacing.sent(stream);
        let mut due_in = |size, is_reading, bound| {
            spacing.answered(stream, size);
            spacing.due_in(stream, is_reading, bound).as_millis()
        };
        assert_eq!(due_in(1_000, true, minute), 0);
        assert_eq!(due_in(1_000, false, minute), 250);
        assert_eq!(due_in(1_000, false, Duration::from_millis(400)), 50);
        assert_eq!(due_in(1 << 20, true, minute), 500);
        assert_eq!(due_in(100 << 20, false, minute), 2_000);
        assert_eq!(due_in(100 << 20, false, Duration::from_secs(3)), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_small_counters_at_once_only_when_quiet() {
        let mut spacing = Spacing::default();
        let (large, small) = (Stream::SessionsRevoke, Stream::KeysInvalidate);
        for (stream, size) in [(large, 1 << 20), (small, 1_000)] {
            spacing.sent(stream);
            spacing.answered(stream, size);
        }
        assert!(!spacing.hurry(&[large]));
        assert!(spacing.hurry(&[large, small]));
        assert!(spacing.due_in(large, false, LONGEST) > Duration::ZERO);
        assert_eq!(spacing.due_in(small, false, LONGEST), Duration::ZERO);
    }
}
