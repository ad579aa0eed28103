//! The entries of a stream, and its counters.

use caracal_revocation_event::{Stream, StreamId};

use crate::fields::Fields;

/// A value for each stream, in the order of [`Stream::ALL`].
pub(crate) type PerStream<T> = [T; Stream::ALL.len()];

/// The state of a stream as the server reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The stream does not exist.
    Missing,
    /// The stream exists.
    Present(Counters),
    /// The stream exists, but the server does not count entries. Holds its `last-generated-id`.
    Uncounted(StreamId),
}

impl Head {
    /// Returns the highest id that the server has assigned to an entry.
    pub(crate) const fn last_generated(self) -> StreamId {
        match self {
            Self::Missing => StreamId::ZERO,
            Self::Present(counters) => counters.last_generated,
            Self::Uncounted(last_generated) => last_generated,
        }
    }
}

/// The counters of a stream. Deleting and trimming entries does not decrease them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The last id that the server gave to an entry (`last-generated-id`).
    pub last_generated: StreamId,
    /// The number of entries ever added (`entries-added`).
    pub entries_added: u64,
    /// The id of the first entry (`recorded-first-entry-id`); zero when the stream is empty.
    pub first: StreamId,
    /// The highest id of a deleted entry (`max-deleted-entry-id`).
    pub max_deleted: StreamId,
}

/// One entry, as unverified bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stream that it was read from.
    pub stream: Stream,
    /// The id of the entry.
    pub id: StreamId,
    /// Its field names and values.
    pub fields: Fields,
}
