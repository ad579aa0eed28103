//! What `caracal-revocation-effects` is built on, and nobody else.
//!
//! It is not part of the API: it changes without a word, and between patch versions too.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};

pub use crate::connection::Connection;
use crate::log::Log;
pub use crate::log::{Entry, LogError};
pub use crate::topology::Links;
use crate::{InProcess, Settings};

/// Dead letters, as followers write them too.
pub mod dead_letters {
    pub use crate::dead_letters::{Attempt, Order, add, dead_stream, write};
}

/// Answers of Redis, read totally.
pub mod reply {
    pub use crate::redis_reply::{array, entries, field, fields, id, list, number, sound, text};
}

/// Connections to where the streams are, none of them open yet.
#[must_use]
pub fn links(settings: &Settings) -> Links {
    Links::new(settings.topology.clone())
}

/// A connection of one's own to the server that takes writes to this key.
///
/// # Errors
///
/// [`LogError`] when there is none.
pub async fn open(settings: &Settings, key: &str) -> Result<Connection, LogError> {
    settings.topology.open(key).await
}

/// Returns `true` if the streams must be there: they are not made on a server that may be the
/// wrong one.
#[must_use]
pub fn requires_streams(settings: &Settings) -> bool {
    settings.mode.requires_streams()
}

/// The entries of one stream after `after`; waits so long for the first.
///
/// # Errors
///
/// [`LogError`] never: a log in this process is always there.
pub async fn read_in_process(
    streams: &InProcess,
    stream: Stream,
    after: StreamId,
    wait: Duration,
) -> Result<Vec<Entry>, LogError> {
    // The cursors of the other streams stand at their end: they wake nobody up.
    let end = StreamId::new(u64::MAX, u64::MAX);
    let cursors = Stream::ALL.map(|other| if other == stream { after } else { end });
    let reading = streams.clone().read(&cursors, Some(wait)).await?;
    Ok(reading.entries)
}
