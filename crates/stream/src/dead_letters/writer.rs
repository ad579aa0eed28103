//! Writes letters from the queue to Redis at a bounded rate, until the queue ends.

use std::time::Duration;

use caracal_revocation_event::{Key, Stream};
use futures_util::future::{join, join_all};
use metrics::Counter;
use tokio::time::{Instant, sleep};

use super::mark::Order;
use super::marked::{self, Attempt, dead_stream};
use super::queue::{Loss, Queue, Waiting};
use crate::acl;
use crate::entry::PerStream;
use crate::log_error::LogError;
use crate::metrics::dead_letters_written;
use crate::topology::{Links, Topology};
use caracal_revocation_state::internal::{Backoff, Episode};

/// The pause after each written letter, for at most 100 letters a second.
const WRITE_INTERVAL: Duration = Duration::from_millis(10);
/// The longest time for which writing a letter is retried.
const LIFETIME: Duration = Duration::from_secs(300);
/// The duration from which a failure is logged. A restart of Redis is shorter.
const LOGGED_AFTER: Duration = Duration::from_secs(5);
/// The pauses between attempts to write one letter.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The time after which a writer without the rights tries again.
const OFF_FOR: Duration = Duration::from_secs(30);

/// Writes the letters of one follower until the queue is closed and empty.
///
/// In a cluster each stream has its own writer. The letters are on different nodes, and a node that
/// is down must not delay the letters of the others.
pub(crate) async fn write_letters(topology: Topology, key: Option<Key>, queue: Queue) {
    if !matches!(topology, Topology::Cluster(_)) {
        return Writer::new(topology, key, queue).run(&Stream::ALL).await;
    }
    let (sort, queues) = queue.split();
    let writers = Stream::ALL.into_iter().zip(queues).map(|(stream, queue)| {
        let writer = Writer::new(topology.clone(), key.clone(), queue);
        async move { writer.run(&[stream]).await }
    });
    join(sort, join_all(writers)).await;
}

#[derive(Debug)]
struct Writer {
    links: Links,
    key: Option<Key>,
    queue: Queue,
    places: PerStream<Place>,
    began: Instant,
    /// The current outage, during which no stream's letters can be written.
    outage: Episode,
    written: Counter,
}

/// The state of one stream's dead letters.
#[derive(Debug, Default)]
struct Place {
    access: WriteAccess,
    /// The reasons for which letters of this stream are off.
    failures: Episode<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WriteAccess {
    /// The rights of this user are not known yet.
    #[default]
    Unproven,
    On,
    /// This user may not write. The next attempt is not before this time.
    Off(Instant),
}

impl Writer {
    fn new(topology: Topology, key: Option<Key>, queue: Queue) -> Self {
        Self {
            links: Links::new(topology),
            key,
            queue,
            places: PerStream::default(),
            began: Instant::now(),
            outage: Episode::default().logged_after(LOGGED_AFTER),
            written: dead_letters_written(),
        }
    }

    async fn run(mut self, streams: &[Stream]) {
        // Checks the rights at the start, so that missing ones are logged before the first letter.
        for stream in streams.iter().copied() {
            let Err(error) = self.prove(stream).await else { continue };
            self.failed(stream, &error);
            // Redis did not answer, and would not answer the next check either.
            if !matches!(error, LogError::Redis(_)) {
                break;
            }
        }
        while let Some(waiting) = self.queue.next().await {
            match self.write(&waiting).await {
                Ok(()) => {}
                Err(loss) => loss.count(),
            }
            self.queue.done(&waiting);
        }
    }

    /// Retries until the letter is written, is known to be written, or is too old.
    async fn write(&mut self, waiting: &Waiting) -> Result<(), Loss> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            if self.is_off(waiting.stream) {
                return Err(Loss::Off);
            }
            match self.attempt(waiting).await {
                Ok(Attempt::Written) => {
                    self.recovered(waiting.stream);
                    self.written.increment(1);
                    self.queue.written(waiting.stream, waiting.id);
                    sleep(WRITE_INTERVAL).await;
                    return Ok(());
                }
                Ok(Attempt::Known(mark)) => {
                    self.recovered(waiting.stream);
                    self.queue.written(waiting.stream, mark);
                    return Ok(());
                }
                Ok(Attempt::LostRace) => continue,
                Err(error) => self.failed(waiting.stream, &error),
            }
            let pause = backoff.next_pause();
            if waiting.since.elapsed() + pause > LIFETIME {
                return Err(Loss::Expired);
            }
            if !self.is_off(waiting.stream) {
                sleep(pause).await;
            }
        }
    }

    async fn attempt(&mut self, waiting: &Waiting) -> Result<Attempt, LogError> {
        self.prove(waiting.stream).await?;
        let letter = waiting.letter.clone().into_fields(waiting.stream, self.key.as_ref());
        let (links, stream, id) = (&mut self.links, waiting.stream, waiting.id);
        marked::write(links, stream, id, Order::Stream, &letter).await
    }

    /// Connects, and checks that this user may write the letters of this stream.
    async fn prove(&mut self, stream: Stream) -> Result<(), LogError> {
        if self.place(stream).is_none_or(|place| place.access == WriteAccess::On) {
            return Ok(());
        }
        let connection = self.links.to(&dead_stream(stream)).await?;
        let mark = marked::probe(connection, stream).await?;
        self.queue.written(stream, mark);
        if let Some(place) = self.place(stream) {
            place.access = WriteAccess::On;
        }
        Ok(())
    }

    fn place(&mut self, stream: Stream) -> Option<&mut Place> {
        self.places.get_mut(stream.index())
    }

    /// Returns `true` if no attempt to write letters of this stream is due.
    fn is_off(&mut self, stream: Stream) -> bool {
        let access = self.place(stream).map(|place| place.access);
        matches!(access, Some(WriteAccess::Off(until)) if Instant::now() < until)
    }

    /// Records that letters of one stream cannot be written. Letters of the others are still tried.
    fn failed(&mut self, stream: Stream, error: &LogError) {
        self.links.close();
        for place in &mut self.places {
            // Another server may grant other rights.
            if place.access == WriteAccess::On {
                place.access = WriteAccess::Unproven;
            }
        }
        let now = self.began.elapsed();
        if !error.is_wrong_type() && !error.forbids_writing() {
            if self.outage.goes_on((), now) {
                tracing::warn!(
                    %stream, %error,
                    "dead letters cannot be written: they wait in memory for up to 5 minutes; \
                     trying again"
                );
            }
            return;
        }
        let message = if error.is_wrong_type() {
            format!("{} or {}: {error}", marked::mark_key(stream), dead_stream(stream))
        } else {
            error.to_string()
        };
        let is_known = self.places.iter().any(|place| place.failures.has_logged(&message));
        let Some(place) = self.place(stream) else { return };
        place.access = WriteAccess::Off(Instant::now() + OFF_FOR);
        if !is_known && place.failures.goes_on(message.clone(), now) {
            warn_off(stream, error, &message);
        }
    }

    fn recovered(&mut self, stream: Stream) {
        let now = self.began.elapsed();
        let was_out = self.outage.is_over(now);
        let was_off = self.place(stream).is_some_and(|place| place.failures.is_over(now));
        if was_out || was_off {
            tracing::info!(%stream, "dead letters are being written again");
        }
    }
}

/// Logs that letters cannot be written until an operator changes the server.
fn warn_off(stream: Stream, error: &LogError, message: &str) {
    if error.is_wrong_type() {
        tracing::warn!(
            %stream, error = message,
            "dead letters of this stream are off: unusable messages are counted and not kept; \
             delete the key of the wrong type"
        );
    } else {
        tracing::warn!(
            %stream, error = message, rights = acl::DEAD_LETTERS,
            "dead letters are off: unusable messages are counted and not kept; give the user these \
             rights on a primary"
        );
    }
}
