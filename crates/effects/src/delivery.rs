//! What a handler is given, and what it may answer.

use caracal_revocation_event::{Change, Event, Stream, StreamId};
use caracal_revocation_stream::internal::Entry;

/// A verified message that was delivered to this process and to no other, at least this once.
#[derive(Clone, Debug)]
pub struct Delivery {
    stream: Stream,
    id: StreamId,
    zone: Option<Box<str>>,
    reason: Option<Box<str>>,
    outbox_id: Option<Box<str>>,
    changes: Vec<Change<'static>>,
    pub(crate) attempt: u32,
}

impl Delivery {
    pub(crate) fn of(entry: &Entry, event: &Event<'_>) -> Self {
        let outbox_id = entry
            .fields
            .iter()
            .find(|(name, _)| *name == b"outbox_id")
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
            // Not what a message hides in a newline, nor the text of an absent value.
            .filter(|id| !matches!(*id, "" | "null") && !id.contains('\n'));
        Self {
            stream: entry.stream,
            id: entry.id,
            zone: event.zone().map(|zone| zone.as_str().into()),
            reason: event.reason().map(Into::into),
            outbox_id: outbox_id.map(Into::into),
            changes: event.changes().iter().cloned().map(Change::into_owned).collect(),
            attempt: 1,
        }
    }

    /// The stream that it came on.
    #[must_use]
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// Its id in the stream.
    #[must_use]
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// The zone that it concerns, where it says so. A producer always does; whoever re-cut a
    /// message may have taken it out.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The producer's words for why.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The producer's own id of the message: the same however often it is published or delivered.
    #[must_use]
    pub fn outbox_id(&self) -> Option<&str> {
        self.outbox_id.as_deref()
    }

    /// What it changes. Empty for a message that concerns nothing here, such as a `spawn`.
    #[must_use]
    pub fn changes(&self) -> &[Change<'static>] {
        &self.changes
    }

    /// Which attempt of this process at it this is, from 1 on.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// Why a handler did not bring about its effect; the text goes into the dead letter and the log,
/// so it must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EffectFailure {
    /// The message may be at fault: after five such attempts, in the whole fleet, it becomes a
    /// dead letter.
    #[error("{0}")]
    Failed(String),
    /// Something else is away, such as a database: the message waits until it is back.
    #[error("{0}")]
    Unavailable(String),
}
