//! The reading loop: reads each log independently, into one fold.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_state::internal::Backoff;
use caracal_revocation_state::{Moment, Revocations};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
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
    let mut shutdown = pin!(shutdown);
    let mut outages = OutageLog::default();
    let mut failing = 0_usize;
    let mut turns = FuturesUnordered::new();
    for log in logs {
        let reader = Reader {
            log,
            server_time: Duration::ZERO,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            is_failing: false,
            is_reading: false,
            revocations: fold.revocations().clone(),
            ahead: None,
        };
        turns.push(take(reader, Turn::Open { after: Duration::ZERO }));
    }
    loop {
        let (mut reader, outcome) = tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(taken) = turns.next() => taken,
            else => return,
        };
        let read = match outcome {
            Ok(Outcome::Opened(server_time)) => {
                reader.server_time = server_time;
                Ok(None)
            }
            Ok(Outcome::Read(reading, sent)) => {
                let now = fold.revocations().now();
                fold.absorb(&reading, sent, now).map(|()| Some(reading.freshness_error))
            }
            Err(error) => Err(error),
        };
        let turn = match read {
            Ok(was_read) => {
                if let Some(freshness_error) = was_read {
                    reader.is_reading = true;
                    let is_failing = freshness_error.is_some();
                    let was_failing = std::mem::replace(&mut reader.is_failing, is_failing);
                    failing = failing + usize::from(is_failing) - usize::from(was_failing);
                    reader.backoff.reset();
                    match freshness_error {
                        Some(error) => outages.unproven(&error, fold.writer()),
                        None if failing == 0 => outages.end(fold.writer()),
                        None => {}
                    }
                    if let Some(saver) = saver {
                        saver.offer(|| fold.position());
                    }
                }
                let next = next_read(&reader, fold);
                if matches!(next, Turn::Read { wait: Some(_), .. }) {
                    // Lets the tasks run that the new entries woke. Sending the next read takes
                    // longer than applying the entries.
                    yield_now().await;
                }
                next
            }
            Err(error) => {
                failing += usize::from(!std::mem::replace(&mut reader.is_failing, true));
                outages.failed(&error, fold.writer());
                let broke_off = std::mem::replace(&mut reader.is_reading, false);
                fold.failed(error.outage(), broke_off);
                Turn::Open { after: reader.backoff.next_pause() }
            }
        };
        turns.push(take(reader, turn));
    }
}

fn next_read<L: Log>(reader: &Reader<L>, fold: &mut Fold) -> Turn {
    let cursors = fold.cursors(reader.server_time);
    let may_wait = fold.may_wait(reader.log.streams(), fold.revocations().now());
    let wait = may_wait.then(|| interval(fold.revocations(), LONGEST_WAIT));
    Turn::Read { cursors, wait, sent: fold.revocations().now() }
}

async fn take<L: Log>(mut reader: Reader<L>, turn: Turn) -> (Reader<L>, Result<Outcome, LogError>) {
    let outcome = match turn {
        Turn::Open { after } => {
            if after > Duration::ZERO {
                sleep(after).await;
            }
            reader.ahead = None;
            reader.log.open().await.map(Outcome::Opened)
        }
        Turn::Read { cursors, wait, sent } => {
            let sent = reader.ahead.take().unwrap_or(sent);
            read(&mut reader, &cursors, wait, sent).await
        }
    };
    (reader, outcome)
}

async fn read<L: Log>(
    reader: &mut Reader<L>,
    cursors: &PerStream<StreamId>,
    wait: Option<Duration>,
    sent: Moment,
) -> Result<Outcome, LogError> {
    reader.log.prepare(sent).await;
    let reading = reader.log.read(cursors, wait).await?;
    // The server prepares the next answer while this one is verified and applied.
    if let Some(next) = reading.next_cursors(cursors) {
        reader.ahead = Some(reader.revocations.now());
        reader.log.read_ahead(&next).await?;
    }
    Ok(Outcome::Read(reading, sent))
}
