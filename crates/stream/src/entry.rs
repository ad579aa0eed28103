//! The entries of a stream, and its counters.

use caracal_revocation_event::{Stream, StreamId};

use crate::fields::Fields;

/// A value for each stream, in the order of [`Stream::ALL`].
pub(crate) type PerStream<T> = [T; Stream::ALL.len()];

/// What the server reports about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// No such key.
    Missing,
    /// The stream exists.
    Present(Counters),
    /// The stream exists, on a server that does not count entries: its `last-generated-id`.
    Uncounted(StreamId),
}

impl Head {
    /// Returns the highest id that the server gave to an entry.
    pub(crate) const fn last_generated(self) -> StreamId {
        match self {
            Self::Missing => StreamId::ZERO,
            Self::Present(counters) => counters.last_generated,
            Self::Uncounted(last_generated) => last_generated,
        }
    }
}

/// The counters of a stream, which deletions and trimming do not decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `last-generated-id`.
    pub last_generated: StreamId,
    /// `entries-added`.
    pub entries_added: u64,
    /// `recorded-first-entry-id`; zero when the stream is empty.
    pub first: StreamId,
    /// `max-deleted-entry-id`.
    pub max_deleted: StreamId,
}

/// One entry, as unverified bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its stream.
    pub stream: Stream,
    /// Its id.
    pub id: StreamId,
    /// Its names and values.
    pub fields: Fields,
}
