//! Reads the streams from their first entries once, and adds their revocations to the state.
//!
//! It proves nothing, detects no gap and reports no outage: the follower does that at the same
//! time, on a connection of its own.

use std::sync::Arc;

use caracal_revocation_event::{KeyRing, Message, Stream, StreamId};
use caracal_revocation_state::RevocationsWriter;
use tokio::task::yield_now;

use crate::entry::{Entry, Head, PerStream};
use crate::log::{Log, Reading};
use crate::log_error::LogError;
use crate::server_clock::ServerClock;

use super::new_logs::NewLogs;

/// Reads each log up to the end that it had at the start, one after the other.
pub(crate) async fn reread<L: Log>(
    new_logs: &NewLogs<L>,
    keys: &KeyRing,
    writer: &Arc<RevocationsWriter>,
) -> Result<(), LogError> {
    let mut outcome = Ok(());
    for log in new_logs() {
        // An error of one node of a cluster leaves the streams of the others.
        outcome = outcome.and(read_once(log, keys, writer).await);
    }
    outcome
}

async fn read_once<L: Log>(
    mut log: L,
    keys: &KeyRing,
    writer: &RevocationsWriter,
) -> Result<(), LogError> {
    log.open().await?;
    let mut clock = ServerClock::default();
    let mut place = Place::default();
    while !log.streams().iter().all(|stream| place.is_done(*stream)) {
        let sent = writer.now();
        let reading = log.read(&place.cursors, None).await?;
        if let Some(server_time) = reading.server_time {
            clock.observe(server_time, sent, writer.now());
        }
        for entry in &reading.entries {
            apply(entry, keys, writer, clock);
        }
        place.advance(&reading);
        let messages = reading.entries.len() as u64;
        writer.report(|report| {
            if let Some(reload) = &mut report.reload {
                reload.messages += messages;
            }
        });
        // Other tasks go first: nothing waits for a reload.
        yield_now().await;
    }
    Ok(())
}

/// The place in each stream.
#[derive(Default)]
struct Place {
    cursors: PerStream<StreamId>,
    /// The last id that each stream had at the start. A writer that adds entries faster than they
    /// are read must not keep the reload from its end.
    ends: PerStream<Option<StreamId>>,
    drained: PerStream<bool>,
}

impl Place {
    fn advance(&mut self, reading: &Reading) {
        for (end, head) in self.ends.iter_mut().zip(reading.heads) {
            *end = end.or(head.map(Head::last_generated));
        }
        for (all, drained) in self.drained.iter_mut().zip(reading.drained) {
            *all |= drained;
        }
        for entry in &reading.entries {
            if let Some(cursor) = self.cursors.get_mut(entry.stream.index()) {
                *cursor = entry.id;
            }
        }
    }

    /// Returns `true` if the stream was read to its end, or to the end that it had at the start.
    fn is_done(&self, stream: Stream) -> bool {
        let at = stream.index();
        let end = self.ends.get(at).copied().flatten();
        self.drained.get(at).is_some_and(|drained| *drained)
            || self.cursors.get(at).zip(end).is_some_and(|(cursor, end)| *cursor >= end)
    }
}

/// Applies a message about revocations. The follower has already counted, logged and dead-lettered the
/// others, and applied messages about keys and policies: applying those again would make every zone
/// load again.
fn apply(entry: &Entry, keys: &KeyRing, writer: &RevocationsWriter, clock: ServerClock) {
    if matches!(entry.stream, Stream::KeysInvalidate | Stream::PolicyInvalidate)
        || entry.fields.too_large().is_some()
    {
        return;
    }
    let fields = entry.fields.borrowed();
    if let Ok(event) = keys.verify(&Message::new(entry.stream, &fields)) {
        let now = writer.now();
        writer.apply_published(&event, now.earlier_by(clock.age(entry.id, now)), now);
    }
}
