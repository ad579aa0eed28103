//! The positions in the streams that a snapshot contains, and the time of their proof.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_state::Moment;
use serde::{Deserialize, Serialize};

use crate::entry::PerStream;

/// The position in one stream, and the counters of its last proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The last entry that was read.
    cursor: (u64, u64),
    /// The number of entries read since the last proof.
    pub(crate) read: u64,
    /// The server's `entries-added` at the last proof.
    pub(crate) added: u64,
    /// `true` if the server had the stream.
    pub(crate) seen: bool,
}

impl Checkpoint {
    pub(crate) const fn new(cursor: StreamId, read: u64, added: u64, seen: bool) -> Self {
        Self { cursor: (cursor.ms, cursor.seq), read, added, seen }
    }

    pub(crate) const fn cursor(&self) -> StreamId {
        StreamId::new(self.cursor.0, self.cursor.1)
    }
}

/// The positions in all streams, after everything up to them was applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) as_of: Moment,
    /// `true` if an accepted key has signed a message of the streams.
    pub(crate) key_is_proven: bool,
    pub(crate) tracks: PerStream<Checkpoint>,
}

/// The position from a snapshot that was restored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoredSnapshot {
    pub(crate) tracks: PerStream<Checkpoint>,
    /// The time at which the last proof was sent, if the clocks of this machine can determine it.
    pub(crate) as_of: Option<Moment>,
    /// `true` if an accepted key has signed a message of the streams.
    pub(crate) key_is_proven: bool,
}

/// A clock that survives a restart of this process and cannot be set: the id of the machine's last
/// boot, and the time since then, including sleep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) id: String,
    pub(crate) up: Duration,
}

impl Boot {
    /// Reads the clock. Returns `None` if the operating system has none.
    pub(crate) fn now() -> Option<Self> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let up = std::fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = up.split_ascii_whitespace().next()?.parse().ok()?;
        let up = Duration::try_from_secs_f64(seconds).ok()?;
        Some(Self { id: id.trim().to_owned(), up })
    }

    /// Returns the time since `earlier`. Returns `None` if the machine was restarted in between, or
    /// if the uptime went back, as in a container or a machine that was restored from an image.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Duration> {
        if self.id != earlier.id {
            return None;
        }
        self.up.checked_sub(earlier.up)
    }
}
