//! The reading loop: reads each log independently, into one fold.

use std::future::Future;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_state::internal::Backoff;
use caracal_revocation_state::{Moment, Revocations};
use futures_util::future::join_all;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::entry::PerStream;
use crate::fold::Fold;
use crate::limits::interval;
use crate::log::{Log, Reading};
use crate::log_error::LogError;
use crate::outage_log::OutageLog;
use crate::snapshot::Saver;

/// The longest wait of one read for the next entry. Each read asks for the counters before it
/// waits.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// The pauses before a log is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// One log, and the state of its reading.
struct Reader<L> {
    log: L,
    /// The server's time when the log was opened.
    server_time: Duration,
    backoff: Backoff,
    /// `true` while the log cannot be read, or its answers cannot be proven fresh.
    is_failing: bool,
    /// `true` if the last attempt succeeded.
    is_reading: bool,
    revocations: Revocations,
    /// The time at which the read in advance was sent, while its answer is due.
    ahead: Option<Moment>,
}

/// The next step of a reader.
enum Turn {
    Open { after: Duration },
    Read { cursors: PerStream<StreamId>, wait: Option<Duration>, sent: Moment },
}

/// The result of a step.
#[expect(clippy::large_enum_variant, reason = "one at a time, and a box costs more than a move")]
enum Outcome {
    Opened(Duration),
    Read(Reading, Moment),
}

/// Reads these logs, which share no stream, until `shutdown` completes.
pub(crate) async fn read_for_ever<L: Log>(
    logs: Vec<L>,
    fold: &mut Fold,
    saver: &mut Option<Saver>,
    shutdown: impl Future<Output = ()>,
) {
    let revocations = fold.revocations().clone();
    let shared = Mutex::new(Shared { fold, saver, outages: OutageLog::default(), failing: 0 });
    let reader = |log| Reader {
        log,
        server_time: Duration::ZERO,
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        is_failing: false,
        is_reading: false,
        revocations: revocations.clone(),
        ahead: None,
    };
    // Each log has a loop of its own: its reader is large, and never moves.
    let reading = join_all(logs.into_iter().map(|log| reader(log).read_for_ever(&shared)));
    tokio::select! {
        biased;
        () = shutdown => {}
        _ = reading => {}
    }
}

/// The state that all readers change, one at a time: they are part of one task.
struct Shared<'f> {
    fold: &'f mut Fold,
    saver: &'f mut Option<Saver>,
    outages: OutageLog,
    /// The number of logs that cannot be read, or whose answers cannot be proven fresh.
    failing: usize,
}

impl Shared<'_> {
    /// Applies the result of a step, and returns the next one.
    fn apply<L: Log>(
        &mut self,
        reader: &mut Reader<L>,
        outcome: Result<Outcome, LogError>,
    ) -> Turn {
        let fold = &mut *self.fold;
        let read = match outcome {
            Ok(Outcome::Opened(server_time)) => {
                reader.server_time = server_time;
                return next_read(reader, fold);
            }
            Ok(Outcome::Read(reading, sent)) => {
                let now = fold.revocations().now();
                fold.absorb(&reading, sent, now).map(|()| reading.freshness_error)
            }
            Err(error) => Err(error),
        };
        let freshness_error = match read {
            Ok(freshness_error) => freshness_error,
            Err(error) => {
                self.failing += usize::from(!mem::replace(&mut reader.is_failing, true));
                self.outages.failed(&error, fold.writer());
                let broke_off = mem::replace(&mut reader.is_reading, false);
                fold.failed(error.outage(), broke_off);
                return Turn::Open { after: reader.backoff.next_pause() };
            }
        };
        reader.is_reading = true;
        let is_failing = freshness_error.is_some();
        let was_failing = mem::replace(&mut reader.is_failing, is_failing);
        self.failing = self.failing + usize::from(is_failing) - usize::from(was_failing);
        reader.backoff.reset();
        match freshness_error {
            Some(error) => self.outages.unproven(&error, fold.writer()),
            None if self.failing == 0 => self.outages.end(fold.writer()),
            None => {}
        }
        if let Some(saver) = self.saver {
            saver.offer(|| fold.position());
        }
        next_read(reader, fold)
    }
}

impl<L: Log> Reader<L> {
    async fn read_for_ever(mut self, shared: &Mutex<Shared<'_>>) {
        let mut turn = Turn::Open { after: Duration::ZERO };
        loop {
            let outcome = self.take(turn).await;
            turn = shared.lock().unwrap_or_else(PoisonError::into_inner).apply(&mut self, outcome);
            // Lets the tasks run that the new entries woke, and the other logs. Sending the next
            // read takes longer than applying the entries.
            yield_now().await;
        }
    }

    async fn take(&mut self, turn: Turn) -> Result<Outcome, LogError> {
        match turn {
            Turn::Open { after } => {
                if after > Duration::ZERO {
                    sleep(after).await;
                }
                self.ahead = None;
                self.log.open().await.map(Outcome::Opened)
            }
            Turn::Read { cursors, wait, sent } => {
                let sent = self.ahead.take().unwrap_or(sent);
                self.read(&cursors, wait, sent).await
            }
        }
    }

    async fn read(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
        sent: Moment,
    ) -> Result<Outcome, LogError> {
        self.log.prepare(sent).await;
        let reading = self.log.read(cursors, wait).await?;
        // The server prepares the next answer while this one is verified and applied.
        if let Some(next) = reading.next_cursors(cursors) {
            self.ahead = Some(self.revocations.now());
            self.log.read_ahead(&next).await?;
        }
        Ok(Outcome::Read(reading, sent))
    }
}

fn next_read<L: Log>(reader: &Reader<L>, fold: &mut Fold) -> Turn {
    let cursors = fold.cursors(reader.server_time);
    let may_wait = fold.may_wait(reader.log.streams(), fold.revocations().now());
    let wait = may_wait.then(|| interval(fold.revocations(), LONGEST_WAIT));
    Turn::Read { cursors, wait, sent: fold.revocations().now() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{poll_fn, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use caracal_revocation_event::{Key, KeyRing, Stream};
    use caracal_revocation_state::{Options, RevocationsWriter};

    use super::*;
    use crate::dead_letters;
    use crate::log::AsOf;

    /// A log that always has an answer, and counts its reads.
    struct Busy {
        streams: Vec<Stream>,
        reads: Arc<AtomicUsize>,
    }

    impl Log for Busy {
        fn streams(&self) -> &[Stream] {
            &self.streams
        }

        fn open(&mut self) -> impl Future<Output = Result<Duration, LogError>> + Send {
            ready(Ok(Duration::ZERO))
        }

        fn read(
            &mut self,
            _: &PerStream<StreamId>,
            _: Option<Duration>,
        ) -> impl Future<Output = Result<Reading, LogError>> + Send {
            let reads = self.reads.fetch_add(1, Ordering::Relaxed);
            assert!(reads < 1_000, "the other log waits for ever");
            let streams = Stream::ALL.map(|stream| self.streams.contains(&stream));
            ready(Ok(Reading {
                server_time: Some(Duration::ZERO),
                as_of: AsOf::Unknown,
                freshness_error: None,
                identity: None,
                streams,
                heads: PerStream::default(),
                entries: Vec::new(),
                drained: PerStream::default(),
            }))
        }
    }

    #[tokio::test]
    async fn busy_logs_take_turns_and_end_at_shutdown() {
        let (letters, _queue) = dead_letters::queue();
        let writer = Arc::new(RevocationsWriter::new(Options::default()));
        let mut fold = Fold::new(writer, KeyRing::new(Key::generate().unwrap()), letters);
        let reads = [Arc::new(AtomicUsize::new(0)), Arc::default()];
        let (first, others) = Stream::ALL.split_first().unwrap();
        let logs = [vec![*first], others.to_vec()].into_iter().zip(&reads);
        let logs = logs.map(|(streams, reads)| Busy { streams, reads: Arc::clone(reads) });
        let polls = Cell::new(0);
        let shutdown = poll_fn(|_| {
            polls.set(polls.get() + 1);
            if polls.get() > 100 { Poll::Ready(()) } else { Poll::Pending }
        });
        read_for_ever(logs.collect(), &mut fold, &mut None, shutdown).await;
        let [first, second] = reads.map(|reads| reads.load(Ordering::Relaxed));
        assert!(first >= 50 && first == second, "{first} and {second} reads");
    }
}
