//! The log as a follower sees it: entries, and what the server says about each stream.

use std::future::Future;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::Moment;

use crate::entry::{Entry, Head, PerStream};
use crate::identity::Identity;
use crate::log_error::LogError;

/// Where messages come from: Redis, or this process.
pub(crate) trait Log: Send {
    /// The streams that it reads, at least one.
    fn streams(&self) -> &[Stream] {
        &Stream::ALL
    }

    /// Opens a connection of its own, dropping one that is open, and tells the server's clock
    /// (since the Unix epoch).
    fn open(&mut self) -> impl Future<Output = Result<Duration, LogError>> + Send;

    /// Whatever is to be asked of others before a read that is sent at this moment.
    fn prepare(&mut self, _now: Moment) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// In one write, asks for the heads and then reads what stands after the cursors; with
    /// `wait`, waits so long for the next entry if there is none.
    fn read(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> impl Future<Output = Result<Reading, LogError>> + Send;

    /// Asks for what stands after these cursors, for the next `read` of the same to find it
    /// there; a log that has everything at hand has nothing to do.
    fn read_ahead(
        &mut self,
        _cursors: &PerStream<StreamId>,
    ) -> impl Future<Output = Result<(), LogError>> + Send {
        std::future::ready(Ok(()))
    }
}

/// The answer to one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The server's clock when it answered, since the Unix epoch.
    pub(crate) server_time: Duration,
    /// Up to when the answer holds.
    pub(crate) as_of: AsOf,
    /// The reason that answers of this server cannot be proven fresh, if there is one.
    pub(crate) freshness_error: Option<LogError>,
    /// Who the server is, where that was asked.
    pub(crate) identity: Option<Identity>,
    /// Which streams were read.
    pub(crate) streams: PerStream<bool>,
    /// What the server said of each of them, before the entries were read, where that was asked.
    pub(crate) heads: PerStream<Option<Head>>,
    /// Per stream in the order of their ids.
    pub(crate) entries: Vec<Entry>,
    /// Whether the stream was read and the answer holds all that stood after its cursor then.
    pub(crate) drained: PerStream<bool>,
}

/// Up to when an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// It was sent then: a primary has everything.
    Sent,
    /// This moment.
    At(Moment),
    /// That is not known.
    Unknown,
}

impl Reading {
    /// Where the cursors stand after it, where more is known to follow.
    pub(crate) fn next_cursors(
        &self,
        cursors: &PerStream<StreamId>,
    ) -> Option<PerStream<StreamId>> {
        if self.drained == self.streams {
            return None;
        }
        let mut next = *cursors;
        for entry in &self.entries {
            if let Some(cursor) = next.get_mut(entry.stream.index()) {
                *cursor = entry.id;
            }
        }
        Some(next)
    }
}

impl AsOf {
    /// As a moment, for an answer to what was sent at `sent`.
    pub(crate) fn moment(self, sent: Moment) -> Option<Moment> {
        match self {
            Self::Sent => Some(sent),
            Self::At(moment) => Some(moment),
            Self::Unknown => None,
        }
    }
}
