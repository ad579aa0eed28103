//! The log as a follower sees it: entries, and what the server says about each stream.

use std::future::Future;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::{Moment, Outage};

use crate::acl;
use crate::continuity::Identity;
use crate::fields::Fields;

/// A value for each stream, in the order of [`Stream::ALL`].
pub(crate) type PerStream<T> = [T; Stream::ALL.len()];

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

/// What the server says of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// No such key.
    Missing,
    /// It is there.
    Present(Counters),
    /// It is there, on a server that does not count: its `last-generated-id`.
    Uncounted(StreamId),
}

impl Head {
    /// No id beyond this one was given.
    pub(crate) const fn last_generated(self) -> StreamId {
        match self {
            Self::Missing => StreamId::ZERO,
            Self::Present(counters) => counters.last_generated,
            Self::Uncounted(last_generated) => last_generated,
        }
    }
}

/// The counters of a stream that deletions and trimming don't turn back.
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

/// One entry, as bytes that nobody has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its stream.
    pub stream: Stream,
    /// Its id.
    pub id: StreamId,
    /// Its names and values.
    pub fields: Fields,
}

/// The error code for a key of another type than the command is for.
const WRONG_TYPE: &str = "WRONGTYPE";

/// Why the log could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[doc(hidden)]
pub enum LogError {
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// What the server answered: a code, and details.
    #[error("Redis: {0}")]
    Redis(String),
    /// What the client says of the connection.
    #[error("Redis: {1}")]
    Connection(Outage, String),
    /// What a sentinel answers, or what becomes of asking it.
    #[error("Sentinel: {1}")]
    Sentinel(Outage, String),
    /// What the nodes of a cluster answer.
    #[error("Redis Cluster: {1}")]
    Cluster(Outage, String),
    /// An error of the primary of a replica, or the reason that it cannot be asked.
    #[error("REDIS_PRIMARY_URL: {1}")]
    Primary(Outage, String),
    #[error("another server is the primary now")]
    Replaced,
    #[error("the replica has not got yet what was read from another")]
    Behind,
    #[error("an answer of Redis cannot be read: {0}")]
    Reply(&'static str),
    #[error("Redis answered with more than {} MB at once", .0 >> 20)]
    TooLarge(usize),
    /// What ended an answer in its middle: which answer, and how much of it had come.
    #[error("{error}, after {bytes} bytes of the answer to {question}")]
    Cut { error: Box<Self>, question: String, bytes: u64 },
    #[error("Redis {0} cannot prove a stream complete; version 7.0 or later is needed")]
    Version(String),
}

impl LogError {
    /// The cause, for a program to match.
    pub(crate) fn outage(&self) -> Outage {
        let code = match self {
            Self::Redis(words) => code(words),
            Self::Deadline(_) => return Outage::Timeout,
            Self::Connection(outage, _)
            | Self::Sentinel(outage, _)
            | Self::Cluster(outage, _)
            | Self::Primary(outage, _) => return *outage,
            Self::Replaced => return Outage::Replaced,
            Self::Behind => return Outage::Behind,
            Self::Reply(_) | Self::TooLarge(_) => return Outage::Reply,
            Self::Cut { error, .. } => return error.outage(),
            Self::Version(_) => return Outage::Version,
        };
        match code {
            "LOADING" => Outage::Loading,
            "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "CROSSSLOT" => Outage::Moved,
            "READONLY" => Outage::ReadOnly,
            "OOM" => Outage::OutOfMemory,
            // "UNBLOCKED" ends a read on a primary that becomes a replica.
            "MASTERDOWN" | "UNBLOCKED" => Outage::MasterDown,
            "NOPERM" => Outage::Forbidden,
            "NOAUTH" | "WRONGPASS" => Outage::Login,
            WRONG_TYPE => Outage::Reply,
            _ => Outage::Other,
        }
    }

    /// Returns `true` if the connection was closed, such as by an idle limit: another may be opened.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Connection(Outage::Unreachable, _))
    }

    /// Returns `true` if a key holds a value of another type than the command is for.
    pub(crate) fn is_wrong_type(&self) -> bool {
        matches!(self, Self::Redis(words) if words.starts_with(WRONG_TYPE))
    }

    /// Adds the name of the key to an error on its type.
    pub(crate) fn on(self, key: &str) -> Self {
        match self {
            Self::Redis(words) if words.starts_with(WRONG_TYPE) => {
                Self::Redis(format!("{words}: {key}"))
            }
            error => error,
        }
    }

    /// Returns `true` if this user lacks a right.
    pub fn is_forbidden(&self) -> bool {
        self.outage() == Outage::Forbidden
    }

    /// Where a right is missing: all that this user needs there, since Redis does not name a key.
    pub(crate) fn missing_rights(&self) -> Option<&'static str> {
        match self {
            _ if !self.is_forbidden() => None,
            Self::Sentinel(..) => Some(acl::SENTINEL),
            Self::Cluster(..) => Some(acl::CLUSTER),
            Self::Primary(..) => Some(acl::PRIMARY),
            // Only what a cluster needs besides, or a database by number, is not in that line.
            Self::Redis(words) if words.contains("'asking'") || words.contains("'cluster") => {
                Some(acl::CLUSTER)
            }
            Self::Redis(words) if words.contains("'select'") => Some(acl::SELECT),
            _ => Some(acl::FOLLOW),
        }
    }

    /// Whether this user, or this server, is not for writing: trying again soon will not help.
    pub(crate) fn forbids_writing(&self) -> bool {
        matches!(self, Self::Redis(words) if ["NOPERM", "READONLY"].contains(&code(words)))
    }
}

/// The code of what the server answered; where `EXEC` itself was refused, the code of the reason.
fn code(words: &str) -> &str {
    let reason = words.strip_prefix("EXECABORT Transaction discarded because of: ");
    reason.unwrap_or(words).split_whitespace().next().unwrap_or_default()
}
