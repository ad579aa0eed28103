//! What a second source of truth knows against tokens.

use caracal_revocation_event::{DecidedAt, OccurredAt};

/// One fact from a second source of truth, such as Postgres.
///
/// Each can only add: none of them ends what a message said, whoever told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// The authority record, session or delegation with this id is revoked for good.
    Revoked(&'a str),
    /// The session is suspended.
    Suspended {
        /// The session's id.
        session: &'a str,
        /// When it was suspended; only a later resume lifts it.
        occurred: OccurredAt,
        /// When that was decided; without it no resume lifts it.
        decided: Option<DecidedAt>,
    },
    /// The session was suspended, and resumed since: tokens made up to its suspension stay
    /// refused, and nothing is lifted.
    Resumed {
        /// The session's id.
        session: &'a str,
        /// When it was last suspended.
        suspended: OccurredAt,
    },
    /// The zone's delegation graph is at this epoch, or beyond.
    Epoch {
        /// The zone's id.
        zone: &'a str,
        /// The epoch.
        epoch: u64,
        /// Whether delegations ended at it.
        ended: bool,
    },
}
