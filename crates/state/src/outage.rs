//! Why the log cannot be read, or not be proven fresh.

/// Why the log cannot be read, or not be proven fresh: the cause of growing staleness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutageCause {
    /// The server, or the network to it, does not answer in time.
    Timeout,
    /// No connection is to be had, or it broke off.
    Unreachable,
    /// TLS: the certificates of one side do not satisfy the other.
    Tls,
    /// User or password are wrong, or missing.
    Login,
    /// The user lacks a right.
    Forbidden,
    /// The server is still reading its data from disk.
    Loading,
    /// The stream is on another node of a cluster.
    Moved,
    /// The server takes no writes.
    ReadOnly,
    /// The server is out of memory.
    OutOfMemory,
    /// The server is a replica that has lost its primary.
    MasterDown,
    /// The replica has not yet got what was read from another, or what its primary has.
    Behind,
    /// The server is a replica, and no primary of its data says how far that is: see
    /// `REDIS_PRIMARY_URL`.
    ReplicaWithoutPrimary,
    /// No sentinel, or no node of a cluster, names a primary that is one, or no majority of them
    /// confirms it.
    NoPrimary,
    /// Another server has become the primary.
    Replaced,
    /// The server cannot prove a stream complete.
    Version,
    /// The server's answer is not what was asked for.
    Reply,
    /// Any other error.
    Other,
}

impl OutageCause {
    /// Every cause.
    pub const ALL: [Self; 17] = [
        Self::Timeout,
        Self::Unreachable,
        Self::Tls,
        Self::Login,
        Self::Forbidden,
        Self::Loading,
        Self::Moved,
        Self::ReadOnly,
        Self::OutOfMemory,
        Self::MasterDown,
        Self::Behind,
        Self::ReplicaWithoutPrimary,
        Self::NoPrimary,
        Self::Replaced,
        Self::Version,
        Self::Reply,
        Self::Other,
    ];

    /// The cause as a label, such as `timeout`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::Forbidden => "forbidden",
            Self::Loading => "loading",
            Self::Moved => "moved",
            Self::ReadOnly => "read_only",
            Self::OutOfMemory => "out_of_memory",
            Self::MasterDown => "master_down",
            Self::Behind => "behind",
            Self::ReplicaWithoutPrimary => "replica_without_primary",
            Self::NoPrimary => "no_primary",
            Self::Replaced => "replaced",
            Self::Version => "version",
            Self::Reply => "reply",
            Self::Other => "other",
        }
    }

    /// Returns the action for an operator.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Timeout => "look whether the server hangs or the network drops packets",
            Self::Unreachable => "look whether the server runs at this address and port",
            Self::Tls => "look at the certificates of both sides, and REDIS_TLS_CA_FILE",
            Self::Login => {
                "set the right user and password: in REDIS_URL or REDIS_PASSWORD, for a sentinel in \
                            REDIS_SENTINEL_PASSWORD"
            }
            Self::Forbidden => "give the user the rights that this event names",
            Self::Loading => "wait: the server is reading its data from disk",
            Self::Moved => "the stream is on another node of a cluster: set REDIS_CLUSTER_NODES",
            Self::ReadOnly => "this is a replica: name the primary too",
            Self::OutOfMemory => "give the server memory: it takes no new messages either",
            Self::MasterDown => "look at the replica's link to its primary",
            Self::Behind => "wait, or look at the replica's link to its primary",
            Self::ReplicaWithoutPrimary => {
                "set REDIS_PRIMARY_URL to the primary of the server that REDIS_URL names, or \
                 REDIS_URL to the primary itself"
            }
            Self::NoPrimary => {
                "look at REDIS_SENTINELS and REDIS_SENTINEL_MASTER, or REDIS_CLUSTER_NODES, whether \
                 those run and are reached from here, and at what they say"
            }
            Self::Replaced => "wait: the new primary is being connected to",
            Self::Version => "use Redis 7.0 or later, or REVOCATION_INSECURE_UNPROVEN=true",
            Self::Reply => "look whether this is a Redis server and these keys are streams",
            Self::Other => "look at the error, and at the server's log",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }

    pub(crate) fn code(outage: Option<Self>) -> u8 {
        outage.map_or(0, |outage| u8::try_from(outage.index() + 1).unwrap_or(0))
    }

    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_outage_survives_its_code_and_has_its_own_label() {
        for (index, outage) in OutageCause::ALL.into_iter().enumerate() {
            assert_eq!(outage.index(), index);
            assert_eq!(OutageCause::of_code(OutageCause::code(Some(outage))), Some(outage));
        }
        assert_eq!(OutageCause::of_code(OutageCause::code(None)), None);
        assert_eq!(OutageCause::of_code(255), None);
        assert_eq!(OutageCause::ALL.len(), OutageCause::Other.index() + 1);
        let labels: HashSet<_> = OutageCause::ALL.map(OutageCause::label).into();
        assert_eq!(labels.len(), OutageCause::ALL.len());
    }
}
