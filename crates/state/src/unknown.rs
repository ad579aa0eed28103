//! The reason why no verdict is possible, and the one rule that finds it.

use std::time::Duration;

use crate::freshness::NotReady;
use crate::staleness::{Bound, Staleness};

/// The reason why no verdict is possible, and why a service must not receive requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownCause {
    /// The history has not been read, or none of its messages could be trusted.
    NotReady(NotReady),
    /// The last proof that the log is complete is older than the bound.
    Stale {
        /// The age of that proof.
        staleness: Duration,
        /// The largest age on which requests are decided.
        bound: Duration,
    },
    /// The index is full: a revocation found no room. See
    /// [`Options::max_entries`](crate::Options).
    Full,
}

impl UnknownCause {
    /// Every label.
    pub const LABELS: [&'static str; 5] =
        ["replaying", "no_signature_verifies", "not_provisioned", "stale", "full"];

    /// Returns the reason why the verdict on every token is unknown, if there is one. Readiness,
    /// verdicts and cuts all use this rule.
    #[inline]
    pub(crate) fn of(
        staleness: Result<Staleness, NotReady>,
        bound: Bound,
        is_full: bool,
    ) -> Option<Self> {
        match staleness {
            // rule: unproven-view-denies
            Err(why) => Some(Self::NotReady(why)),
            // rule: stale-view-denies
            Ok(staleness) if staleness.exceeds(bound) => {
                Some(Self::Stale { staleness: staleness.duration(), bound: bound.duration() })
            }
            // rule: full-state-denies
            Ok(_) => is_full.then_some(Self::Full),
        }
    }

    /// Returns the cause as a label: one of [`UnknownCause::LABELS`].
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotReady(why) => why.label(),
            Self::Stale { .. } => "stale",
            Self::Full => "full",
        }
    }
}
