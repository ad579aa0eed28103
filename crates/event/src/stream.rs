//! The streams that change revocation state, and the ids of their entries.

use std::fmt;
use std::str::FromStr;

/// A stream whose messages can change which tokens a service admits.
///
/// ```
/// use caracal_revocation_event::Stream;
/// assert_eq!(Stream::SessionsRevoke.name(), "caracal.sessions.revoke");
/// assert_eq!(Stream::from_name("caracal.keys.invalidate"), Some(Stream::KeysInvalidate));
/// assert_eq!(Stream::from_name("caracal.audit.events"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// `caracal.sessions.revoke`: authority records, sessions and delegations are revoked.
    SessionsRevoke,
    /// `caracal.keys.invalidate`: a zone's keys, and everything verified with them, are stale.
    KeysInvalidate,
    /// `caracal.policy.invalidate`: a zone's policy bundle must be loaded again.
    PolicyInvalidate,
    /// `caracal.delegations.invalidate`: a zone's delegation graph has moved to a new epoch.
    DelegationsInvalidate,
    /// `caracal.agents.lifecycle`: sessions are suspended, resumed and terminated.
    AgentsLifecycle,
}

impl Stream {
    /// Every stream, in the order of [`Stream::index`].
    pub const ALL: [Self; 5] = [
        Self::SessionsRevoke,
        Self::KeysInvalidate,
        Self::PolicyInvalidate,
        Self::DelegationsInvalidate,
        Self::AgentsLifecycle,
    ];

    /// Returns the stream's key in Redis, which is also part of the signed text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionsRevoke => "caracal.sessions.revoke",
            Self::KeysInvalidate => "caracal.keys.invalidate",
            Self::PolicyInvalidate => "caracal.policy.invalidate",
            Self::DelegationsInvalidate => "caracal.delegations.invalidate",
            Self::AgentsLifecycle => "caracal.agents.lifecycle",
        }
    }

    /// Returns the stream with this key, or `None` if no such stream changes state.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.name() == name)
    }

    /// Returns the stream's position in [`Stream::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the fields of this stream's messages that a consumer acts on.
    ///
    /// A newline in one of them sets the value aside. A newline followed by one of these names
    /// inside another value marks a re-cut message.
    pub(crate) const fn acted_on(self) -> &'static [&'static str] {
        match self {
            Self::SessionsRevoke => &[
                "session_id",
                "sid",
                "root_sid",
                "agent_session_id",
                "delegation_edge_id",
                "edge_id",
                "zone_id",
                "dedupe_key",
            ],
            Self::KeysInvalidate => &["zone_id"],
            Self::PolicyInvalidate => &["zone_id", "policy_set_version_id"],
            Self::DelegationsInvalidate => &["zone_id", "epoch", "event", "edge_id", "edge_ids"],
            Self::AgentsLifecycle => &["event", "agent_session_id", "zone_id", "dedupe_key"],
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The id of an entry in a stream: the Redis server's clock in milliseconds, and a counter.
///
/// ```
/// use caracal_revocation_event::StreamId;
/// let id: StreamId = "1763805600123-4".parse()?;
/// assert_eq!((id.ms, id.seq), (1_763_805_600_123, 4));
/// assert!(id < "1763805600123-10".parse()?);
/// assert_eq!(id.to_string(), "1763805600123-4");
/// # Ok::<(), caracal_revocation_event::ParseStreamIdError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// Milliseconds since the Unix epoch, by the server's clock.
    pub ms: u64,
    /// The number of the entry within that millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The id `0-0`, before every entry.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };

    /// Creates the id `ms-seq`.
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// Returns the id directly before this one; for `0-0`, that is `0-0` itself.
    ///
    /// ```
    /// use caracal_revocation_event::StreamId;
    /// assert_eq!(StreamId::new(7, 3).before(), StreamId::new(7, 2));
    /// assert_eq!(StreamId::new(7, 0).before(), StreamId::new(6, u64::MAX));
    /// assert_eq!(StreamId::ZERO.before(), StreamId::ZERO);
    /// ```
    #[must_use]
    pub const fn before(self) -> Self {
        match (self.ms, self.seq) {
            (0, 0) => self,
            (ms, 0) => Self { ms: ms - 1, seq: u64::MAX },
            (ms, seq) => Self { ms, seq: seq - 1 },
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The error for a text that is not `<ms>-<seq>`, two decimal numbers of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stream id is two decimal numbers, as in 1763805600123-0")]
pub struct ParseStreamIdError;

impl FromStr for StreamId {
    type Err = ParseStreamIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ms, seq) = text.split_once('-').ok_or(ParseStreamIdError)?;
        Ok(Self {
            ms: decimal(ms).ok_or(ParseStreamIdError)?,
            seq: decimal(seq).ok_or(ParseStreamIdError)?,
        })
    }
}

/// Parses a number of decimal digits and nothing else: `u64::from_str` would also accept a plus
/// sign.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
