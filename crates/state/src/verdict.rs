//! The verdict: admitted, refused, or unknown, with a reason that a program can match.

use std::time::Duration;

use crate::claims::AnchorKind;
use crate::clock::UnixSeconds;
use crate::freshness::NotReady;
use crate::index::Mark;
use crate::readiness::Unready;
use crate::staleness::{Bound, Staleness};

/// The decision on a token.
///
/// Requests are admitted if, in this order:
///
/// 1. none of the token's anchors is revoked or suspended;
/// 2. it lives no longer than [`LONGEST_LIFETIME`], has not expired and was not made in the
///    future, give or take [`LEEWAY`] by this machine's wall clock;
/// 3. its delegation epoch is not stale, where that is asked for;
/// 4. the log was proven complete no longer ago than the staleness bound;
/// 5. the token was made after the horizon, before which messages may have been lost.
///
/// A token that is known to be revoked is refused even while the rest is unknown.
///
/// [`LEEWAY`]: crate::LEEWAY
/// [`LONGEST_LIFETIME`]: crate::LONGEST_LIFETIME
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Nothing is known against the token, and what is known is fresh enough.
    Admitted(Admitted),
    /// The token must not be used any more.
    Denied(Denial),
    /// It cannot be said: refuse, as an outage and not as a revocation.
    Unknown(Unknown),
}

impl Verdict {
    /// Returns what [`verdict`] says if nothing is known against a token, nothing was lost, and the
    /// view is of this age, which is within the bound.
    #[inline]
    pub(crate) const fn plainly_admitted(staleness: Staleness) -> Self {
        Self::Admitted(Admitted { staleness, failed_open: None })
    }
}

/// Proof that a token was checked and found good; only [`Revocations::decide`] makes one.
///
/// [`Revocations::decide`]: crate::Revocations::decide
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Meaningless if nothing was ever proven, which `failed_open` says.
    staleness: Staleness,
    failed_open: Option<Unknown>,
}

impl Admitted {
    /// How long ago the log was last proven complete, when this was decided; [`Duration::MAX`]
    /// if it never was, which only [`Checks::fail_open_unknown`] lets through.
    #[must_use]
    pub const fn staleness(&self) -> Duration {
        match self.failed_open {
            Some(Unknown::NotReady(_)) => Duration::MAX,
            _ => self.staleness.duration(),
        }
    }

    /// The reason why the verdict would have been unknown, if [`Checks::fail_open_unknown`]
    /// admitted the token nevertheless.
    #[must_use]
    pub const fn failed_open(&self) -> Option<Unknown> {
        self.failed_open
    }
}

/// Why a token must not be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    reason: DenyReason,
    anchor: Option<AnchorKind>,
}

impl Denial {
    /// The denial that follows from the mark of an anchor.
    pub(crate) const fn by(anchor: AnchorKind, mark: Mark) -> Self {
        let reason = match mark {
            Mark::Revoked => DenyReason::Revoked,
            Mark::Suspended | Mark::DeniedUpTo(_) => DenyReason::Suspended,
        };
        Self { reason, anchor: Some(anchor) }
    }

    /// The reason.
    #[must_use]
    pub const fn reason(&self) -> DenyReason {
        self.reason
    }

    /// Which claim the refused anchor stands in, where it is about one.
    #[must_use]
    pub const fn anchor(&self) -> Option<AnchorKind> {
        self.anchor
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyReason {
    /// An anchor of the token was revoked.
    Revoked,
    /// The session is suspended, or the token is older than the end of a suspension.
    Suspended,
    /// The zone's delegation graph has moved on since the token was made.
    DelegationStale,
    /// Messages may have been lost before the token was made: a newer one passes.
    HistoryIncomplete,
    /// The token's `exp`, and the leeway after it, have passed.
    Expired,
    /// The token's `iat` lies in the future by more than the leeway: no revocation can be expected
    /// of a time that has not come.
    NotYetValid,
    /// The token lives longer than any mandate may: its revocation could be forgotten before it
    /// ends.
    LifetimeTooLong,
}

impl DenyReason {
    /// The reason as a label, such as `history_incomplete`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::DelegationStale => "delegation_stale",
            Self::HistoryIncomplete => "history_incomplete",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::LifetimeTooLong => "lifetime_too_long",
        }
    }
}

/// Why nothing can be said of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// The history has not been read, or none of it could be believed.
    NotReady(NotReady),
    /// The last proof that the log is complete is older than the bound.
    Stale {
        /// How old it is.
        staleness: Duration,
        /// How old it may be.
        bound: Duration,
    },
    /// More is revoked than may be remembered: [`Options::max_entries`](crate::Options).
    Full,
}

impl Unknown {
    /// Every label.
    pub const LABELS: [&'static str; 5] =
        ["replaying", "no_signature_verifies", "not_provisioned", "stale", "full"];

    /// Returns what [`Unready::of`] finds, with the staleness and its bound.
    pub(crate) fn of(
        staleness: Result<Staleness, NotReady>,
        bound: Bound,
        is_full: bool,
    ) -> Option<Self> {
        Some(match (Unready::of(staleness, bound, is_full)?, staleness) {
            (Unready::NotReady(why), _) | (Unready::Stale, Err(why)) => Self::NotReady(why),
            (Unready::Stale, Ok(staleness)) => {
                Self::Stale { staleness: staleness.duration(), bound: bound.duration() }
            }
            (Unready::Full, _) => Self::Full,
        })
    }

    /// The cause as a label: one of [`Unknown::LABELS`].
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotReady(why) => why.label(),
            Self::Stale { .. } => "stale",
            Self::Full => "full",
        }
    }
}

/// The checks of one service or route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checks {
    /// Checks the anchors of every hop of `delegation_chain` and `delegation_path`. On by default.
    pub chain: bool,
    /// Checks the zone's delegation graph epoch. Off by default.
    pub delegation_epoch: bool,
    /// With `delegation_epoch`: only delegations that ended make older tokens stale, not those
    /// that were created. Off by default.
    pub ended_delegations_only: bool,
    /// Checks whether the token may be used at this time at all: see [`Verdict`]. On by default;
    /// off only where the service checks that on the same token, as the STS does.
    pub lifetime: bool,
    /// Checks whether the token was issued after the horizon. On by default; off where the service
    /// decides from Caracal's own records, as the STS does.
    pub horizon: bool,
    /// A staleness bound of its own, where it is smaller than the service's; see
    /// [`Revocations::require_bound`](crate::Revocations::require_bound).
    pub deny_after: Option<Duration>,
    /// Admits although too little is known: the history is not read yet, the view is older than
    /// the bound, or there is no room for all that is revoked. Never what is known to be revoked,
    /// and nothing below the horizon. Off by default.
    pub fail_open_unknown: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            chain: true,
            delegation_epoch: false,
            ended_delegations_only: false,
            lifetime: true,
            horizon: true,
            deny_after: None,
            fail_open_unknown: false,
        }
    }
}

/// Everything a verdict depends on, looked up.
pub(crate) struct Facts {
    /// The mark that weighs most, and the kind of its anchor.
    pub(crate) mark: Option<(AnchorKind, Mark)>,
    pub(crate) iat: UnixSeconds,
    /// Why the token may not be used at this time.
    pub(crate) out_of_time: Option<DenyReason>,
    pub(crate) epoch_is_stale: bool,
    pub(crate) staleness: Result<Staleness, NotReady>,
    pub(crate) bound: Bound,
    /// `true` if a revoked anchor found no room in the index.
    pub(crate) is_full: bool,
    /// Up to which `iat` messages that concern such a token may have been lost.
    pub(crate) horizon: Option<UnixSeconds>,
    pub(crate) fail_open: bool,
}

#[inline]
pub(crate) fn verdict(facts: &Facts) -> Verdict {
    let refuse = |reason| Verdict::Denied(Denial { reason, anchor: None });
    if let Some((anchor, mark)) = facts.mark {
        return Verdict::Denied(Denial::by(anchor, mark));
    }
    if let Some(reason) = facts.out_of_time {
        return refuse(reason);
    }
    if facts.epoch_is_stale {
        return refuse(DenyReason::DelegationStale);
    }
    let unknown = Unknown::of(facts.staleness, facts.bound, facts.is_full);
    // rule: outage-is-no-revocation
    if let Some(unknown) = unknown.filter(|_| !facts.fail_open) {
        return Verdict::Unknown(unknown);
    }
    if facts.horizon.is_some_and(|horizon| facts.iat <= horizon) {
        return refuse(DenyReason::HistoryIncomplete);
    }
    let staleness = facts.staleness.unwrap_or(Staleness::from_nanos(0));
    Verdict::Admitted(Admitted { staleness, failed_open: unknown })
}
