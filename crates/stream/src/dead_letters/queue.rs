//! The queue of letters to write, bounded in number and bytes. The fold never waits for space in
//! it.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use caracal_revocation_event::{Stream, StreamId};
use metrics::Counter;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::letter::{DeadLetter, MAX_LETTER, bounded};
use crate::entry::{Entry, PerStream};
use crate::metrics::dead_letters_lost;

/// The largest number of waiting letters, and of their bytes in total.
const MAX_WAITING: usize = 1_024;
const MAX_BYTES: usize = 16 << 20;

/// The sending end of the queue, for the fold.
///
/// Letters are held until [`DeadLetters::release`]. While no message has verified, a wrong key is
/// more likely than bad messages.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    held: Option<Held>,
    sender: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
    /// The counter of letters lost because the queue was full. Registered once, because a flood of
    /// messages finds the queue full each time.
    full: Counter,
}

/// The letters in the queue, within its bounds.
#[derive(Debug, Default)]
struct Held {
    letters: Vec<(Stream, StreamId, DeadLetter)>,
    bytes: usize,
    /// The number of messages that were dropped for lack of space.
    beyond: u64,
}

/// A letter in the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) stream: Stream,
    pub(super) id: StreamId,
    pub(super) letter: DeadLetter,
    pub(super) since: Instant,
    bytes: usize,
}

/// The receiving end of the queue, for the writer.
#[derive(Debug)]
pub(crate) struct Queue {
    receiver: mpsc::Receiver<Waiting>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    /// For each stream, the id up to which the fleet is known to have written letters. Only its
    /// milliseconds are kept: within one millisecond the writer asks Redis.
    written: PerStream<AtomicU64>,
}

/// The reason that a letter was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Too many letters waited.
    Full,
    /// Redis accepted no writes for too long.
    Expired,
    /// This user may not write the letter, or the server is a replica.
    Off,
}

impl Loss {
    /// Counts the lost letter.
    pub(super) fn count(self) {
        self.counter().increment(1);
    }

    fn counter(self) -> Counter {
        let cause = match self {
            Self::Full => "full",
            Self::Expired => "expired",
            Self::Off => "off",
        };
        dead_letters_lost(cause)
    }
}

pub(crate) fn queue() -> (DeadLetters, Queue) {
    // Counters start at zero, because an alert on an increase needs the value before it.
    for loss in [Loss::Full, Loss::Expired, Loss::Off] {
        loss.counter().increment(0);
    }
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let shared = Arc::<Shared>::default();
    (
        DeadLetters {
            held: Some(Held::default()),
            sender,
            shared: shared.clone(),
            full: Loss::Full.counter(),
        },
        Queue { receiver, shared },
    )
}

impl DeadLetters {
    /// Queues the letter of a message, or holds it. Without space, counts it as lost.
    pub(crate) fn put(&mut self, entry: &Entry, error: impl Display) {
        let (stream, id) = (entry.stream, entry.id);
        let size = entry.fields.too_large().unwrap_or(entry.fields.size() as u64);
        let kept = if size > MAX_LETTER { 0 } else { entry.fields.size() };
        // The letter owns its text, because the entry's fields keep the whole answer in memory. It
        // is created only if there is space: any writer to Redis can cause any number of letters.
        let letter = || bounded(entry, &error.to_string());
        match &mut self.held {
            Some(held) => held.put(stream, id, kept, letter),
            None => self.send(stream, id, kept, letter),
        }
    }

    /// Queues the held letters, and holds no more: the key is right, or none is needed.
    pub(crate) fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        for (stream, id, letter) in held.letters {
            self.send(stream, id, 0, || letter);
        }
        self.full.increment(held.beyond);
    }

    fn send(&self, stream: Stream, id: StreamId, size: usize, letter: impl FnOnce() -> DeadLetter) {
        let Shared { bytes: waiting, written } = &*self.shared;
        let known = written.get(stream.index());
        if known.is_some_and(|known| id.ms < known.load(Ordering::Relaxed)) {
            return;
        }
        let Ok(place) = self.sender.try_reserve() else { return self.full.increment(1) };
        // Only this end adds letters, so free space stays free.
        let room = MAX_BYTES.saturating_sub(waiting.load(Ordering::Relaxed));
        let Some(letter) = fitting(room, size, letter) else { return self.full.increment(1) };
        let bytes = letter.size();
        waiting.fetch_add(bytes, Ordering::Relaxed);
        place.send(Waiting { stream, id, letter, since: Instant::now(), bytes });
    }
}

impl Held {
    fn put(
        &mut self,
        stream: Stream,
        id: StreamId,
        size: usize,
        letter: impl FnOnce() -> DeadLetter,
    ) {
        let is_free = self.letters.len() < MAX_WAITING;
        let room = if is_free { MAX_BYTES.saturating_sub(self.bytes) } else { 0 };
        let Some(letter) = fitting(room, size, letter) else {
            self.beyond += 1;
            return;
        };
        self.bytes += letter.size();
        self.letters.push((stream, id, letter));
    }
}

/// Returns the letter for fields of this size, if there is space for it.
fn fitting(room: usize, size: usize, letter: impl FnOnce() -> DeadLetter) -> Option<DeadLetter> {
    // JSON needs at most six bytes for one byte. The rest is for names, the id and the reason.
    (room > 6 * size + 1_024).then(letter)
}

impl Queue {
    /// Returns the number of waiting letters.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Returns a queue for each stream, and the future that fills them from this queue.
    pub(super) fn split(mut self) -> (impl Future<Output = ()>, PerStream<Self>) {
        let ends = Stream::ALL.map(|_| mpsc::channel(MAX_WAITING));
        let senders = ends.each_ref().map(|(sender, _)| sender.clone());
        let shared = Arc::clone(&self.shared);
        let queues = ends.map(|(_, receiver)| Self { receiver, shared: Arc::clone(&shared) });
        let sort = async move {
            while let Some(waiting) = self.next().await {
                let Some(sender) = senders.get(waiting.stream.index()) else { continue };
                if let Err(TrySendError::Full(waiting) | TrySendError::Closed(waiting)) =
                    sender.try_send(waiting)
                {
                    Loss::Full.count();
                    self.done(&waiting);
                }
            }
        };
        (sort, queues)
    }

    /// Returns the next letter, or `None` after the last one.
    pub(super) async fn next(&mut self) -> Option<Waiting> {
        self.receiver.recv().await
    }

    /// Logs every message, for streams without a Redis.
    pub(crate) async fn log(mut self) {
        while let Some(waiting) = self.next().await {
            tracing::error!(
                stream = %waiting.stream, id = %waiting.id, error = waiting.letter.error(),
                "a message cannot be used: it is rejected, and streams inside a process keep no \
                 dead letter"
            );
            self.done(&waiting);
        }
    }

    /// Records that a letter is done, and frees its bytes.
    pub(super) fn done(&self, waiting: &Waiting) {
        self.shared.bytes.fetch_sub(waiting.bytes, Ordering::Relaxed);
    }

    /// Records that the fleet has written letters of this stream up to `mark`.
    pub(super) fn written(&self, stream: Stream, mark: StreamId) {
        if let Some(known) = self.shared.written.get(stream.index()) {
            known.store(mark.ms, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    fn entry(ms: u64, size: usize) -> Entry {
        let fields = [(b"note", vec![b'x'; size])].into_iter().collect();
        Entry { stream: Stream::SessionsRevoke, id: StreamId::new(ms, 0), fields }
    }

    fn released() -> (DeadLetters, Queue) {
        let (mut letters, queue) = queue();
        letters.release();
        (letters, queue)
    }

    #[tokio::test]
    async fn holds_letters_until_the_key_is_known_to_be_right() {
        let (mut letters, mut queue) = queue();
        for ms in 0..2_000 {
            letters.put(&entry(ms, 1), "signature");
        }
        assert!(queue.receiver.is_empty());
        letters.release();
        assert_eq!(queue.receiver.len(), MAX_WAITING);
        assert_eq!(queue.receiver.try_recv().unwrap().id.ms, 0, "the first are kept");
        letters.put(&entry(3_000, 1), "signature");
        assert_eq!(queue.receiver.len(), MAX_WAITING, "and the next is sent at once");
    }

    #[tokio::test]
    async fn holds_bounded_number_of_bytes() {
        let (mut letters, queue) = queue();
        for ms in 0..300 {
            letters.put(&entry(ms, 60_000), "signature");
        }
        letters.release();
        // Space for one letter of the largest size is left.
        let held = queue.shared.bytes.load(Ordering::Relaxed);
        assert!(held <= MAX_BYTES && held > MAX_BYTES - (1 << 19), "{held}");
    }

    #[tokio::test]
    async fn counts_bytes_of_letters() {
        let (mut letters, queue) = released();
        for ms in 0..100 {
            // Each of these bytes needs six bytes as JSON.
            let fields = [(b"note", vec![0; 60_000])].into_iter().collect();
            letters.put(&Entry { fields, ..entry(ms, 0) }, "signature");
        }
        assert!(queue.shared.bytes.load(Ordering::Relaxed) <= MAX_BYTES);
        assert_eq!(queue.receiver.len(), 46);
    }

    #[tokio::test]
    async fn keeps_a_large_message_without_its_fields() {
        let (mut letters, mut queue) = released();
        letters.put(&entry(1, 1 << 20), "signature");
        let fields = Fields::left_out(9_000_000);
        letters.put(&Entry { fields, ..entry(2, 0) }, "too_large");
        for (ms, error) in [(1, "signature"), (2, "too_large")] {
            let waiting = queue.receiver.try_recv().unwrap();
            assert_eq!((waiting.id.ms, waiting.letter.values()), (ms, "null"));
            assert!(waiting.letter.error().starts_with(error), "{:?}", waiting.letter);
            assert_eq!(waiting.letter.fields(), None, "nothing to replay");
        }
    }

    #[tokio::test]
    async fn skips_letters_that_fleet_has_written() {
        let (mut letters, mut queue) = released();
        queue.written(Stream::SessionsRevoke, StreamId::new(10, 5));
        letters.put(&entry(9, 1), "");
        letters.put(&entry(10, 1), "within the same millisecond");
        letters.put(&entry(11, 1), "");
        drop(letters);
        let ids: Vec<u64> = std::iter::from_fn(|| queue.receiver.try_recv().ok())
            .map(|waiting| waiting.id.ms)
            .collect();
        assert_eq!(ids, [10, 11]);
    }

    #[tokio::test]
    async fn queue_is_bounded_in_number_and_bytes() {
        let (mut letters, mut queue) = released();
        for ms in 0..2_000 {
            letters.put(&entry(ms, 1), "");
        }
        assert_eq!(queue.receiver.len(), MAX_WAITING);
        while let Ok(waiting) = queue.receiver.try_recv() {
            queue.done(&waiting);
        }
        for ms in 0..300 {
            letters.put(&entry(ms, 60_000), "");
        }
        assert!((270..280).contains(&queue.receiver.len()), "{}", queue.receiver.len());
        while let Ok(waiting) = queue.receiver.try_recv() {
            queue.done(&waiting);
        }
        assert_eq!(queue.shared.bytes.load(Ordering::Relaxed), 0);
    }
}
