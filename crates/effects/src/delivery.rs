//! The message that a handler receives, and the failures that it may return.

use caracal_revocation_event::{Change, Event, Stream, StreamId};
use caracal_revocation_stream::internal::Entry;

/// A verified message that was delivered to this process. Another process may receive it later.
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
            // Rejects an id with a newline, which could hide text, and the text of an absent value.
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

    /// Returns the stream of the message.
    #[must_use]
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// Returns the id of the entry in the stream.
    #[must_use]
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// Returns the zone that the message concerns, if it names one. Caracal's producers always do;
    /// a re-cut message may lack it.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// Returns the reason that the producer gave, as text.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Returns the producer's own id of the message. It stays the same when the message is
    /// published or delivered again.
    #[must_use]
    pub fn outbox_id(&self) -> Option<&str> {
        self.outbox_id.as_deref()
    }

    /// Returns the changes that the message makes. Empty for one without any, such as a `spawn`.
    #[must_use]
    pub fn changes(&self) -> &[Change<'static>] {
        &self.changes
    }

    /// Returns the number of this process's attempt at the message, starting at 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// The reason why a handler failed. The text goes into the dead letter and the log, so it must not
/// contain a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EffectFailure {
    /// The message may be the cause. After five such failures in the whole fleet it becomes a dead
    /// letter.
    #[error("{0}")]
    Failed(String),
    /// A dependency is unavailable, such as a database. The message stays pending until it is back.
    #[error("{0}")]
    Unavailable(String),
}
