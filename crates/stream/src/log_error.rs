//! The reasons that the log cannot be read.

use std::time::Duration;

use caracal_revocation_state::OutageCause;

use crate::acl;

/// The error code of Redis if the type of a key does not fit the command.
const WRONG_TYPE: &str = "WRONGTYPE";

/// The error of a read, or of another command to a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[doc(hidden)]
pub enum LogError {
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// An error answer of the server: a code, and details.
    #[error("Redis: {0}")]
    Redis(String),
    /// An error of the connection.
    #[error("Redis: {1}")]
    Connection(OutageCause, String),
    /// An error answer of a sentinel, or an error while asking it.
    #[error("Sentinel: {1}")]
    Sentinel(OutageCause, String),
    /// An error answer of the nodes of a cluster.
    #[error("Redis Cluster: {1}")]
    Cluster(OutageCause, String),
    /// An error of the primary of a replica, or the reason that it cannot be asked.
    #[error("REDIS_PRIMARY_URL: {1}")]
    Primary(OutageCause, String),
    #[error("another server is the primary now")]
    Replaced,
    #[error("the replica lacks entries that were read from another server")]
    Behind,
    #[error("an answer of Redis cannot be read: {0}")]
    Reply(&'static str),
    #[error("Redis answered with more than {} MB at once", .0 >> 20)]
    TooLarge(usize),
    /// An error in the middle of an answer: the question, and the number of bytes that had arrived.
    #[error("{error}, after {bytes} bytes of the answer to {question}")]
    Cut { error: Box<Self>, question: String, bytes: u64 },
    #[error("Redis {0} cannot prove a stream complete; version 7.0 or later is needed")]
    Version(String),
}

impl LogError {
    /// Returns the cause, for programs to match.
    pub(crate) fn outage(&self) -> OutageCause {
        let code = match self {
            Self::Redis(message) => code(message),
            Self::Deadline(_) => return OutageCause::Timeout,
            Self::Connection(outage, _)
            | Self::Sentinel(outage, _)
            | Self::Cluster(outage, _)
            | Self::Primary(outage, _) => return *outage,
            Self::Replaced => return OutageCause::Replaced,
            Self::Behind => return OutageCause::Behind,
            Self::Reply(_) | Self::TooLarge(_) => return OutageCause::Reply,
            Self::Cut { error, .. } => return error.outage(),
            Self::Version(_) => return OutageCause::Version,
        };
        match code {
            "LOADING" => OutageCause::Loading,
            "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "CROSSSLOT" => OutageCause::Moved,
            "READONLY" => OutageCause::ReadOnly,
            "OOM" => OutageCause::OutOfMemory,
            // "UNBLOCKED" ends a blocking read on a primary that becomes a replica.
            "MASTERDOWN" | "UNBLOCKED" => OutageCause::MasterDown,
            "NOPERM" => OutageCause::Forbidden,
            "NOAUTH" | "WRONGPASS" => OutageCause::Login,
            WRONG_TYPE => OutageCause::Reply,
            _ => OutageCause::Other,
        }
    }

    /// Returns `true` if the connection was closed, for example by an idle limit. A new one may
    /// work.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Connection(OutageCause::Unreachable, _))
    }

    /// Returns `true` if an answer may have been too large for a server or proxy.
    pub(crate) const fn is_cut(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::TooLarge(_)) || self.is_closed()
    }

    /// Returns `true` if the type of a key does not fit the command.
    pub(crate) fn is_wrong_type(&self) -> bool {
        matches!(self, Self::Redis(message) if message.starts_with(WRONG_TYPE))
    }

    /// Adds the name of the key to an error about its type.
    pub(crate) fn on(self, key: &str) -> Self {
        match self {
            Self::Redis(message) if message.starts_with(WRONG_TYPE) => {
                Self::Redis(format!("{message}: {key}"))
            }
            error => error,
        }
    }

    /// Returns `true` if this user lacks a right.
    pub fn is_forbidden(&self) -> bool {
        self.outage() == OutageCause::Forbidden
    }

    /// Returns all rights that this user needs on that server, if one is missing. Redis does not
    /// name the key in its error.
    pub(crate) fn missing_rights(&self) -> Option<&'static str> {
        match self {
            _ if !self.is_forbidden() => None,
            Self::Sentinel(..) => Some(acl::SENTINEL),
            Self::Cluster(..) => Some(acl::CLUSTER),
            Self::Primary(..) => Some(acl::PRIMARY),
            // `FOLLOW` does not contain the rights for a cluster and for choosing a database.
            Self::Redis(message)
                if message.contains("'asking'") || message.contains("'cluster") =>
            {
                Some(acl::CLUSTER)
            }
            Self::Redis(message) if message.contains("'select'") => Some(acl::SELECT),
            _ => Some(acl::FOLLOW),
        }
    }

    /// Returns `true` if this user may not write, or this server accepts no writes. A retry does
    /// not help.
    pub(crate) fn forbids_writing(&self) -> bool {
        matches!(self, Self::Redis(message) if ["NOPERM", "READONLY"].contains(&code(message)))
    }
}

/// Returns the code of an error answer. For a failed `EXEC`, returns the code of its reason.
fn code(message: &str) -> &str {
    let reason = message.strip_prefix("EXECABORT Transaction discarded because of: ");
    reason.unwrap_or(message).split_whitespace().next().unwrap_or_default()
}
