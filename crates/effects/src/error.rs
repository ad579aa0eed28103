//! The error of a runner that cannot start.

use caracal_revocation_event::Stream;
use caracal_revocation_stream::internal::LogError;

/// The reason why a runner did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EffectError(Problem);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error(
        "{others} other consumers use the group {group:?}, and each message goes to only one of \
         them: name another group, or call join_existing()"
    )]
    InUse { group: Box<str>, others: usize },
    #[error(
        "the stream {0} does not exist: set REDIS_URL (host and database number) to Caracal's \
         Redis, or run caracal-streams provision"
    )]
    NotProvisioned(Stream),
    #[error("{0}")]
    Log(LogError),
}

impl EffectError {
    pub(crate) fn in_use(group: &str, others: usize) -> Self {
        Self(Problem::InUse { group: group.into(), others })
    }

    pub(crate) const fn not_provisioned(stream: Stream) -> Self {
        Self(Problem::NotProvisioned(stream))
    }

    pub(crate) const fn from_log(error: LogError) -> Self {
        Self(Problem::Log(error))
    }

    /// Returns `true` if other consumers use the group, and `false` if Redis could not be used.
    #[must_use]
    pub const fn is_in_use(&self) -> bool {
        matches!(self.0, Problem::InUse { .. })
    }
}
