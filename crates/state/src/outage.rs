//! The causes that stop the log from being read or proven fresh.

/// The cause for which the log cannot be read or proven fresh, so that staleness grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutageCause {
    /// The server, or the network to it, does not answer in time.
    Timeout,
    /// No connection can be opened, or it was closed.
    Unreachable,
    /// TLS: one side rejects the certificate of the other.
    Tls,
    /// User or password are wrong or missing.
    Login,
    /// The user lacks a permission.
    Forbidden,
    /// The server is still reading its data from disk.
    Loading,
    /// The stream is on another node of a cluster.
    Moved,
    /// The server accepts no writes.
    ReadOnly,
    /// The server is out of memory.
    OutOfMemory,
    /// The server is a replica that has lost its primary.
    MasterDown,
    /// The replica lags behind the position that was already read elsewhere, or behind its primary.
    Behind,
    /// The server is a replica, and no primary is configured whose position it can be compared
    /// with: see `REDIS_PRIMARY_URL`.
    ReplicaWithoutPrimary,
    /// No sentinel or cluster node names a valid primary, or no majority of them confirms it.
    NoPrimary,
    /// Another server has become the primary.
    Replaced,
    /// The server cannot prove a stream complete.
    Version,
    /// The server sent an unexpected answer.
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

    /// Returns the cause as a label, such as `timeout`.
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
            Self::Timeout => "check whether the server hangs or the network drops packets",
            Self::Unreachable => "check whether the server runs at this address and port",
            Self::Tls => "check the certificates of both sides, and REDIS_TLS_CA_FILE",
            Self::Login => {
                "set the right user and password: in REDIS_URL or REDIS_PASSWORD; for a sentinel, in \
                            REDIS_SENTINEL_PASSWORD"
            }
            Self::Forbidden => "give the user the rights that this event names",
            Self::Loading => "wait: the server is reading its data from disk",
            Self::Moved => "the stream is on another node of a cluster: set REDIS_CLUSTER_NODES",
            Self::ReadOnly => "this is a replica: configure the primary too",
            Self::OutOfMemory => "give the server more memory: it accepts no new messages either",
            Self::MasterDown => "check the replica's link to its primary",
            Self::Behind => "wait, or check the replica's link to its primary",
            Self::ReplicaWithoutPrimary => {
                "set REDIS_PRIMARY_URL to the primary of the server that REDIS_URL names, or \
                 REDIS_URL to the primary itself"
            }
            Self::NoPrimary => {
                "check REDIS_SENTINELS and REDIS_SENTINEL_MASTER, or REDIS_CLUSTER_NODES: do those \
                 run, can this host reach them, and which primary do they report"
            }
            Self::Replaced => "wait: connecting to the new primary",
            Self::Version => "use Redis 7.0 or later, or REVOCATION_INSECURE_UNPROVEN=true",
            Self::Reply => "check whether this is a Redis server and these keys are streams",
            Self::Other => "check the error and the server's log",
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
    fn every_outage_round_trips_and_has_a_unique_label() {
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
