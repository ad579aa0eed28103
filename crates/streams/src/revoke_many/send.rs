//! Publishes messages at a limited rate, and records each acknowledged write in the journal.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::Publisher;
use tokio::time::{Instant, sleep_until};

use super::item::Item;
use super::journal::Journal;
use super::pace::Pace;
use super::progress::Progress;
use crate::outcome::Failure;
use crate::output::note;
use crate::signals::EndSignals;

/// The end of the publishing.
#[derive(Debug)]
pub(super) struct Sent {
    /// The number of messages that were published.
    pub(super) published: usize,
    /// The id of the last of them.
    pub(super) last: Option<StreamId>,
    /// The time from the first write to the last answer.
    pub(super) elapsed: Duration,
    pub(super) end: End,
}

/// The reason that the publishing ended.
#[derive(Debug)]
pub(super) enum End {
    /// Everything is published.
    Complete,
    /// The operator ended it by this signal.
    Signal(u8),
    /// A write was not acknowledged.
    Failed(Failure),
}

/// Publishes all items in their order. Ends after the current write if a signal arrives.
///
/// A journal that cannot be written does not stop the revocation: publishing a message twice is
/// harmless, and a revocation that waits for a disk is not.
pub(super) async fn send(
    publisher: &Publisher,
    items: &[Item],
    reason: &str,
    pace: Pace,
    journal: &mut Journal,
    signals: &mut EndSignals,
) -> Sent {
    let start = Instant::now();
    let mut progress = Progress::new(items.len());
    let mut sent = Sent { published: 0, last: None, elapsed: Duration::ZERO, end: End::Complete };
    let mut due = Duration::ZERO;
    for write in items.chunks(pace.write()) {
        tokio::select! {
            biased;
            signal = signals.next() => {
                sent.end = End::Signal(signal);
                break;
            }
            () = sleep_until(start + due) => {}
        }
        due = pace.next(due, start.elapsed(), write.len());
        let messages = write.iter().map(|item| item.message(reason)).collect();
        match publisher.publish_all(messages).await {
            Ok(ids) => sent.last = ids.last().copied().or(sent.last),
            Err(error) => {
                sent.end = End::Failed(error.into());
                break;
            }
        }
        if let Some(Err(failure)) = sent.last.map(|last| journal.record(write, last)) {
            progress.clear();
            note(format_args!(
                "{failure}; going on without it: after an interruption, the same command publishes \
                 more messages again than needed, which is harmless"
            ));
        }
        sent.published += write.len();
        sent.elapsed = start.elapsed();
        progress.advance(sent.published, sent.elapsed);
    }
    progress.clear();
    sent
}
