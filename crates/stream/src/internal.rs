//! Items that only `caracal-revocation-effects` and `caracal-revocation-admin` use.
//!
//! This module is not part of the public API. It may change in any release, patch versions
//! included, without a note in the changelog.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
pub use caracal_revocation_state::internal::{Backoff, Throttle};

pub use crate::connection::Connection;
pub use crate::entry::{Counters, Entry, Head};
pub use crate::entry_reader::{EntryReader, Page};
pub use crate::fields::Fields;
pub use crate::limits::MAX_LEN;
use crate::log::Log;
pub use crate::log_error::LogError;
pub use crate::receipts::PREFIX as RECEIPT_PREFIX;
pub use crate::topology::Links;
use crate::topology::Topology;
use crate::{InProcess, Settings};

/// Writes dead letters in the way that followers do.
pub mod dead_letters {
    pub use crate::dead_letters::{Attempt, Order, add, bounded, dead_stream, write};
}

/// The settings that keep Redis from losing messages.
pub mod persistence {
    pub use crate::persistence::{add_queries, live};
}

/// Parses answers of Redis. An unexpected answer is an error.
pub mod reply {
    pub use crate::redis_reply::{
        array, checked, entries, field, fields, head, id, info_field, number, text, time,
    };
}

/// Returns connections to the servers of the streams. None of them is open yet.
#[must_use]
pub fn links(settings: &Settings) -> Links {
    Links::new(settings.topology.clone())
}

/// Returns connections to the server of `REDIS_PRIMARY_URL`, if that is set.
#[must_use]
pub fn primary_links(settings: &Settings) -> Option<Links> {
    let primary = settings.primary.clone();
    primary.map(|server| Links::new(Topology::One(Box::new(server))))
}

/// Returns a reader of entries, which asks for at most `most` at once. It is not connected yet.
#[must_use]
pub fn entry_reader(settings: &Settings, most: usize) -> EntryReader {
    EntryReader::new(settings.topology.clone(), settings.certificates.clone(), most)
}

/// Opens a connection to the server that accepts writes to this key.
///
/// # Errors
///
/// [`LogError`] if the connection cannot be opened.
pub async fn open(settings: &Settings, key: &str) -> Result<Connection, LogError> {
    settings.topology.open(key).await
}

/// Returns `true` if the streams must exist. They are not created on a server that may be the wrong
/// one.
#[must_use]
pub fn requires_streams(settings: &Settings) -> bool {
    settings.mode.requires_streams()
}

/// Returns the entries of one stream after the id `after`. Waits up to `wait` for the first.
///
/// # Errors
///
/// Never returns an error: streams in this process are always available.
pub async fn read_in_process(
    streams: &InProcess,
    stream: Stream,
    after: StreamId,
    wait: Duration,
) -> Result<Vec<Entry>, LogError> {
    // The cursors of the other streams are at the highest id, so their entries do not end the wait.
    let end = StreamId::new(u64::MAX, u64::MAX);
    let cursors = Stream::ALL.map(|other| if other == stream { after } else { end });
    let reading = streams.clone().read(&cursors, Some(wait)).await?;
    Ok(reading.entries)
}
