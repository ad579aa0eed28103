//! What `caracal-revocation-effects` and `caracal-revocation-admin` are built on, and nobody else.
//!
//! It is not part of the API: it changes without a word, and between patch versions too.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
pub use caracal_revocation_state::internal::{Backoff, Throttle};

pub use crate::connection::Connection;
pub use crate::entry::{Counters, Entry, Head};
use crate::log::Log;
pub use crate::log_error::LogError;
pub use crate::publisher::MAX_LEN;
pub use crate::receipts::PREFIX as RECEIPT_PREFIX;
pub use crate::topology::Links;
use crate::topology::Topology;
use crate::{InProcess, Settings};

/// Dead letters, as followers write them too.
pub mod dead_letters {
    pub use crate::dead_letters::{Attempt, Order, add, dead_stream, write};
}

/// The settings that keep Redis from losing messages.
pub mod persistence {
    pub use crate::persistence::{ask, live};
}

/// Answers of Redis, read totally.
pub mod reply {
    pub use crate::redis_reply::{
        array, entries, field, fields, head, id, info_field, number, sound, text, time,
    };
}

/// Connections to where the streams are, none of them open yet.
#[must_use]
pub fn links(settings: &Settings) -> Links {
    Links::new(settings.topology.clone())
}

/// Connections to the server of `REDIS_PRIMARY_URL`, if that is set.
#[must_use]
pub fn primary_links(settings: &Settings) -> Option<Links> {
    let primary = settings.primary.clone();
    primary.map(|server| Links::new(Topology::One(Box::new(server))))
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
