//! The counts of the full-screen view: rates, delays, the last messages. No I/O; time is passed in.

use std::collections::VecDeque;
use std::time::Duration;

use caracal_revocation_event::{KeySlot, Stream, StreamId};
use caracal_revocation_stream::TailedMessage;

use crate::record::Record;

/// The number of seconds that a rate covers.
pub(super) const WINDOW: usize = 60;
/// The number of last messages that are kept.
const KEPT: usize = 500;

/// The upper bounds of the histogram's buckets in milliseconds; the last bucket has none.
pub(super) const BOUNDS_MS: [u64; 11] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 60_000];

/// The counts of all messages that were read.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) streams: [PerStream; Stream::ALL.len()],
    /// A histogram of the delays from a message's id until it was read here.
    pub(super) delays: [u64; BOUNDS_MS.len() + 1],
    /// The last messages, newest first.
    pub(super) last: VecDeque<ShownMessage>,
    /// The number of messages by the key that signed them: current, previous, unsigned.
    pub(super) keys: [u64; 3],
    second: u64,
}

/// The counts of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct PerStream {
    pub(super) applied: u64,
    pub(super) rejected: u64,
    pub(super) last: Option<StreamId>,
    /// The number of messages in each of the last seconds, the current one first.
    seconds: VecDeque<u64>,
}

/// One message, as it is counted and shown.
#[derive(Clone, Debug)]
pub(super) struct ShownMessage {
    pub(super) stream: Stream,
    pub(super) id: StreamId,
    pub(super) applied: bool,
    pub(super) age: Duration,
    pub(super) line: String,
    key: Option<KeySlot>,
}

impl ShownMessage {
    pub(super) fn of(message: &TailedMessage<'_>) -> Self {
        let record = Record::of(message.stream, message.outcome);
        Self {
            stream: message.stream,
            id: message.id,
            applied: record.is_applied(),
            age: message.age,
            line: record.text(),
            key: message.outcome.ok().map(|event| event.key()),
        }
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            streams: std::array::from_fn(|_| PerStream::default()),
            delays: [0; BOUNDS_MS.len() + 1],
            last: VecDeque::new(),
            keys: [0; 3],
            second: 0,
        }
    }

    /// Counts messages that were read now. If `live` is `true`, their age counts as a delay.
    /// Otherwise they are history, whose age is no delay.
    pub(super) fn take(&mut self, seen: Vec<ShownMessage>, live: bool, now: Duration) {
        self.tick(now);
        for seen in seen {
            if let Some(stream) = self.streams.get_mut(seen.stream.index()) {
                *(if seen.applied { &mut stream.applied } else { &mut stream.rejected }) += 1;
                stream.last = Some(seen.id);
                if let (true, Some(current)) = (live, stream.seconds.front_mut()) {
                    *current += 1;
                }
            }
            if live {
                let bucket =
                    BOUNDS_MS.iter().position(|bound| seen.age.as_millis() < u128::from(*bound));
                if let Some(count) = self.delays.get_mut(bucket.unwrap_or(BOUNDS_MS.len())) {
                    *count += 1;
                }
            }
            if let Some(count) = seen.key.and_then(|slot| self.keys.get_mut(place(slot))) {
                *count += 1;
            }
            self.last.push_front(seen);
        }
        self.last.truncate(KEPT);
    }

    /// Advances the counts per second to the current second.
    fn tick(&mut self, now: Duration) {
        let elapsed = now.as_secs().saturating_sub(self.second);
        self.second = now.as_secs();
        for stream in &mut self.streams {
            for _ in 0..elapsed.min(WINDOW as u64 + 1) {
                stream.seconds.push_front(0);
            }
            stream.seconds.truncate(WINDOW + 1);
        }
    }
}

impl PerStream {
    /// Returns the number of messages in each whole second of the window, oldest first.
    pub(super) fn seconds(&self) -> Vec<u64> {
        let mut seconds: Vec<u64> = self.seconds.iter().skip(1).copied().collect();
        seconds.resize(WINDOW, 0);
        seconds.reverse();
        seconds
    }

    /// Returns the average number of messages per second in the window.
    pub(super) fn rate(&self) -> f64 {
        self.seconds().iter().sum::<u64>() as f64 / WINDOW as f64
    }
}

const fn place(slot: KeySlot) -> usize {
    match slot {
        KeySlot::Current => 0,
        KeySlot::Previous => 1,
        KeySlot::Unsigned => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(age_ms: u64) -> ShownMessage {
        ShownMessage {
            stream: Stream::KeysInvalidate,
            id: StreamId::new(7, 0),
            applied: true,
            age: Duration::from_millis(age_ms),
            line: String::new(),
            key: Some(KeySlot::Current),
        }
    }

    #[test]
    fn counts_a_second_after_it_ends_for_a_minute() {
        let mut tally = Tally::new();
        let at = |second: u64| Duration::from_secs(1_000 + second);
        tally.take(vec![seen(0), seen(0)], true, at(0));
        let rate = |tally: &Tally| tally.streams[Stream::KeysInvalidate.index()].rate();
        assert_eq!(rate(&tally), 0.0);
        tally.take(Vec::new(), true, at(1));
        assert_eq!(rate(&tally), 2.0 / 60.0);
        tally.take(Vec::new(), true, at(60));
        assert_eq!(rate(&tally), 2.0 / 60.0);
        tally.take(Vec::new(), true, at(61));
        assert_eq!(rate(&tally), 0.0);
    }

    #[test]
    fn history_adds_no_delay() {
        let mut tally = Tally::new();
        tally.take(vec![seen(90_000), seen(0)], false, Duration::from_secs(1));
        assert_eq!(tally.delays.iter().sum::<u64>(), 0);
        tally.take(vec![seen(0), seen(1), seen(70_000)], true, Duration::from_secs(1));
        assert_eq!((tally.delays[0], tally.delays[1], tally.delays[11]), (1, 1, 1));
        assert_eq!((tally.last.len(), tally.keys[0]), (5, 5));
    }
}
