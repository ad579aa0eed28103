//! What waits to be written: bounded in number and bytes, and never waited for.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use caracal_revocation_event::{Stream, StreamId};
use metrics::{Counter, counter};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::DeadLetter;
use crate::log::{Entry, PerStream};

/// At most so many letters wait, of so many bytes together.
const MAX_WAITING: usize = 1_024;
const MAX_BYTES: usize = 16 << 20;

/// Where a fold leaves the messages that it cannot use.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    sender: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
    /// Kept at hand: a flood finds the queue full at each of its messages.
    full: Counter,
}

/// A letter on its way.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) stream: Stream,
    pub(super) id: StreamId,
    pub(super) letter: DeadLetter,
    pub(super) since: Instant,
    bytes: usize,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Queue {
    receiver: mpsc::Receiver<Waiting>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    /// Per stream the id up to which the fleet has written letters, as far as is known here: its
    /// milliseconds, since anything within one is better asked than left out.
    written: PerStream<AtomicU64>,
}

/// Why a letter was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Too many wait.
    Full,
    /// Redis did not take it for too long.
    Expired,
    /// Redis does not let this user write it, or is a replica.
    Off,
}

impl Loss {
    /// Counts it.
    pub(super) fn count(self) {
        self.counter().increment(1);
    }

    fn counter(self) -> Counter {
        let cause = match self {
            Self::Full => "full",
            Self::Expired => "expired",
            Self::Off => "off",
        };
        counter!("caracal_revocation_dead_letters_lost_total", "cause" => cause)
    }
}

pub(crate) fn queue() -> (DeadLetters, Queue) {
    // Counted from zero on: an alert on a rise needs what was before.
    for loss in [Loss::Full, Loss::Expired, Loss::Off] {
        loss.counter().increment(0);
    }
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let shared = Arc::<Shared>::default();
    (
        DeadLetters { sender, shared: shared.clone(), full: Loss::Full.counter() },
        Queue { receiver, shared },
    )
}

impl DeadLetters {
    /// Leaves a message to the writer; what there is no room for is counted as lost.
    pub(crate) fn put(&self, entry: &Entry, error: impl Display) {
        let Shared { bytes: waiting, written } = &*self.shared;
        let known = written.get(entry.stream.index());
        if known.is_some_and(|known| entry.id.ms < known.load(Ordering::Relaxed)) {
            return;
        }
        // Before the letter is made: whoever can write to Redis can make any number of them.
        let Ok(room) = self.sender.try_reserve() else { return self.full.increment(1) };
        let bytes = entry.fields.size();
        // Only this side adds, so what was free stays free.
        if waiting.load(Ordering::Relaxed).saturating_add(bytes) > MAX_BYTES {
            return self.full.increment(1);
        }
        let letter = DeadLetter::of(entry.id, &error.to_string(), &entry.fields.borrowed());
        let (stream, id) = (entry.stream, entry.id);
        waiting.fetch_add(bytes, Ordering::Relaxed);
        room.send(Waiting { stream, id, letter, since: Instant::now(), bytes });
    }
}

impl Queue {
    /// The next letter; None when there will be no more.
    pub(super) async fn next(&mut self) -> Option<Waiting> {
        self.receiver.recv().await
    }

    /// Takes every letter and tells the log: where there is no Redis to write to.
    pub(crate) async fn log(mut self) {
        while let Some(waiting) = self.next().await {
            tracing::error!(
                stream = %waiting.stream, id = %waiting.id, error = waiting.letter.error(),
                "a message cannot be used"
            );
            self.done(&waiting);
        }
    }

    /// Says that a letter needs no more work.
    pub(super) fn done(&self, waiting: &Waiting) {
        self.shared.bytes.fetch_sub(waiting.bytes, Ordering::Relaxed);
    }

    /// The fleet has written letters of this stream up to `mark`.
    pub(super) fn written(&self, stream: Stream, mark: StreamId) {
        if let Some(known) = self.shared.written.get(stream.index()) {
            known.store(mark.ms, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ms: u64, size: usize) -> Entry {
        let fields = [(b"note", vec![b'x'; size])].into_iter().collect();
        Entry { stream: Stream::SessionsRevoke, id: StreamId::new(ms, 0), fields }
    }

    #[tokio::test]
    async fn what_the_fleet_has_written_is_left_out_at_once() {
        let (letters, mut queue) = queue();
        queue.written(Stream::SessionsRevoke, StreamId::new(10, 5));
        letters.put(&entry(9, 1), "");
        letters.put(&entry(10, 1), "within the same millisecond: asked");
        letters.put(&entry(11, 1), "");
        drop(letters);
        let ids: Vec<u64> = std::iter::from_fn(|| queue.receiver.try_recv().ok())
            .map(|waiting| waiting.id.ms)
            .collect();
        assert_eq!(ids, [10, 11]);
    }

    #[tokio::test]
    async fn it_is_bounded_in_number_and_in_bytes() {
        let (letters, mut queue) = queue();
        for ms in 0..2_000 {
            letters.put(&entry(ms, 1), "");
        }
        assert_eq!(queue.receiver.len(), MAX_WAITING);
        while let Ok(waiting) = queue.receiver.try_recv() {
            queue.done(&waiting);
        }
        for ms in 0..5 {
            letters.put(&entry(ms, 5 << 20), "");
        }
        assert_eq!(queue.receiver.len(), 3);
        while let Ok(waiting) = queue.receiver.try_recv() {
            queue.done(&waiting);
        }
        assert_eq!(queue.shared.bytes.load(Ordering::Relaxed), 0);
    }
}
