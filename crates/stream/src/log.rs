//! The log that a follower reads: the entries and counters of each stream.

use std::future::Future;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::Moment;

use crate::entry::{Entry, Head, PerStream};
use crate::identity::Identity;
use crate::log_error::LogError;

/// A source of messages: Redis, or streams in this process.
pub(crate) trait Log: Send {
    /// Returns the streams of this log, at least one.
    fn streams(&self) -> &[Stream] {
        &Stream::ALL
    }

    /// Opens a new connection, which replaces an open one, and returns the server's time since the
    /// Unix epoch.
    fn open(&mut self) -> impl Future<Output = Result<Duration, LogError>> + Send;

    /// Asks other servers before a read that is sent at `now`, if the log needs that.
    fn prepare(&mut self, _now: Moment) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Reads the heads, and the entries after the cursors, with one write. With `wait`, waits up to
    /// that long for an entry if there is none.
    fn read(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> impl Future<Output = Result<Reading, LogError>> + Send;

    /// Sends the next read in advance. The next `read` with the same cursors then receives its
    /// answer. A log in memory does nothing.
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
    /// The server's time before its heads and entries were read, since the Unix epoch. A read that
    /// asks for heads always asks for it.
    pub(crate) server_time: Option<Duration>,
    /// The time up to which the answer is complete.
    pub(crate) as_of: AsOf,
    /// The reason that answers of this server cannot be proven fresh, if there is one.
    pub(crate) freshness_error: Option<LogError>,
    /// The identity of the server, if the read asked for it.
    pub(crate) identity: Option<Identity>,
    /// The streams that were read.
    pub(crate) streams: PerStream<bool>,
    /// The head of each stream before its entries were read, if the read asked for it.
    pub(crate) heads: PerStream<Option<Head>>,
    /// The entries. Those of each stream are in the order of their ids.
    pub(crate) entries: Vec<Entry>,
    /// `true` for each stream that was read to its end.
    pub(crate) drained: PerStream<bool>,
}

/// The time up to which an answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// The answer is complete up to the time at which the read was sent: a primary has every entry.
    Sent,
    /// The answer is complete up to this moment.
    At(Moment),
    /// The time up to which the answer is complete is unknown.
    Unknown,
}

impl Reading {
    /// Returns the cursors after this reading, if more entries are known to follow.
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
    /// Returns the moment for an answer to a read that was sent at `sent`.
    pub(crate) fn moment(self, sent: Moment) -> Option<Moment> {
        match self {
            Self::Sent => Some(sent),
            Self::At(moment) => Some(moment),
            Self::Unknown => None,
        }
    }
}
