//! The verdict: admitted, denied or unknown, with a reason that a program can match.

use std::time::Duration;

use crate::claims::AnchorKind;
use crate::clock::UnixSeconds;
use crate::freshness::NotReady;
use crate::index::Mark;
use crate::staleness::{Bound, Staleness};
use crate::unknown::UnknownCause;

/// The decision on a token.
///
/// Requests are admitted if, in this order:
///
/// 1. none of the token's anchors is revoked or suspended;
/// 2. it lives no longer than [`LONGEST_LIFETIME`]; by this machine's wall clock and with a
///    tolerance of [`LEEWAY`], it has not expired and was not issued in the future;
/// 3. its delegation epoch is not stale, if that is checked;
/// 4. the log was proven complete no longer ago than the staleness bound;
/// 5. the token was issued after the horizon, up to which messages may have been lost.
///
/// A token that is known to be revoked is denied even while the rest is unknown.
///
/// [`LEEWAY`]: crate::LEEWAY
/// [`LONGEST_LIFETIME`]: crate::LONGEST_LIFETIME
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Nothing is known against the token, and the view is fresh enough.
    Admitted(Admitted),
    /// The token must not be used any more.
    Denied(Denial),
    /// The state cannot decide. Deny the request as an outage, not as a revocation.
    Unknown(UnknownCause),
}

impl Verdict {
    /// Returns the result of [`verdict`] for a token that nothing is known against, if nothing was
    /// lost and the view's age is within the bound.
    #[inline]
    pub(crate) const fn plainly_admitted(staleness: Staleness) -> Self {
        Self::Admitted(Admitted { staleness, failed_open: None })
    }
}

/// The proof that a token was checked and admitted; only [`Revocations::decide`] creates one.
///
/// [`Revocations::decide`]: crate::Revocations::decide
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The age of the last proof. It has no meaning if nothing was ever proven; see `failed_open`.
    staleness: Staleness,
    failed_open: Option<UnknownCause>,
}

impl Admitted {
    /// Returns the time since the log was last proven complete, as of the decision. Returns
    /// [`Duration::MAX`] if it never was, which only [`Checks::fail_open_unknown`] admits.
    #[must_use]
    pub const fn staleness(&self) -> Duration {
        match self.failed_open {
            Some(UnknownCause::NotReady(_)) => Duration::MAX,
            _ => self.staleness.duration(),
        }
    }

    /// Returns the reason for which the verdict would have been unknown, if
    /// [`Checks::fail_open_unknown`] admitted the token nevertheless.
    #[must_use]
    pub const fn failed_open(&self) -> Option<UnknownCause> {
        self.failed_open
    }
}

/// The reason why a token must not be used any more, and the kind of the anchor that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    reason: DenyReason,
    anchor: Option<AnchorKind>,
}

impl Denial {
    /// Returns the denial that follows from the mark of an anchor.
    pub(crate) const fn by(anchor: AnchorKind, mark: Mark) -> Self {
        let reason = match mark {
            Mark::Revoked => DenyReason::Revoked,
            Mark::Suspended | Mark::DeniedUpTo(_) => DenyReason::Suspended,
        };
        Self { reason, anchor: Some(anchor) }
    }

    /// Returns the reason.
    #[must_use]
    pub const fn reason(&self) -> DenyReason {
        self.reason
    }

    /// Returns the claim that contains the denied anchor, if the denial is about an anchor.
    #[must_use]
    pub const fn anchor(&self) -> Option<AnchorKind> {
        self.anchor
    }
}

/// The reason why a token is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyReason {
    /// An anchor of the token was revoked.
    Revoked,
    /// The session is suspended, or the token is older than the end of a suspension.
    Suspended,
    /// The zone's delegation graph has changed since the token was issued.
    DelegationStale,
    /// The token is not newer than the horizon, so its revocation may have been lost. A newer token
    /// is admitted.
    HistoryIncomplete,
    /// The token's `exp`, and the leeway after it, have passed.
    Expired,
    /// The token's `iat` is in the future by more than the leeway. It would escape comparisons of
    /// `iat` with suspensions and the horizon.
    NotYetValid,
    /// The token lives longer than any mandate may. Its revocation could expire before the token.
    LifetimeTooLong,
}

impl DenyReason {
    /// Returns the reason as a label, such as `history_incomplete`.
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

/// The checks of one service or route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checks {
    /// Checks the anchors of every hop of `delegation_chain` and `delegation_path`. On by default.
    pub chain: bool,
    /// Checks the zone's delegation graph epoch. Off by default.
    pub delegation_epoch: bool,
    /// With `delegation_epoch`: only ended delegations make older tokens stale; created ones do
    /// not. Off by default.
    pub ended_delegations_only: bool,
    /// Checks the token's `iat`, `exp` and lifetime: see [`Verdict`]. On by default. Turn it off
    /// only if the service checks the same token itself, as the STS does.
    pub lifetime: bool,
    /// Checks that the token was issued after the horizon. On by default. Turn it off if the
    /// service decides from Caracal's own records, as the STS does.
    pub horizon: bool,
    /// A separate bound on staleness, if it is smaller than the service's; see
    /// [`Revocations::require_bound`](crate::Revocations::require_bound).
    pub deny_after: Option<Duration>,
    /// Admits tokens although the verdict is unknown: the history is not read yet, the view is
    /// older than the bound, or the index is full. Never admits a token that is known to be
    /// revoked, or that is below the horizon. Off by default.
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

/// Everything that a verdict depends on, already looked up.
pub(crate) struct Facts {
    /// The strongest mark, and the kind of its anchor.
    pub(crate) mark: Option<(AnchorKind, Mark)>,
    pub(crate) iat: UnixSeconds,
    /// The reason why the token may not be used at this time.
    pub(crate) out_of_time: Option<DenyReason>,
    pub(crate) epoch_is_stale: bool,
    pub(crate) staleness: Result<Staleness, NotReady>,
    pub(crate) bound: Bound,
    /// `true` if a revoked anchor found no room in the index.
    pub(crate) is_full: bool,
    /// The highest `iat` of tokens whose revocation may have been lost.
    pub(crate) horizon: Option<UnixSeconds>,
    pub(crate) fail_open: bool,
}

#[inline]
pub(crate) fn verdict(facts: &Facts) -> Verdict {
    let deny = |reason| Verdict::Denied(Denial { reason, anchor: None });
    if let Some((anchor, mark)) = facts.mark {
        return Verdict::Denied(Denial::by(anchor, mark));
    }
    if let Some(reason) = facts.out_of_time {
        return deny(reason);
    }
    if facts.epoch_is_stale {
        return deny(DenyReason::DelegationStale);
    }
    let unknown = UnknownCause::of(facts.staleness, facts.bound, facts.is_full);
    // rule: outage-is-no-revocation
    if let Some(unknown) = unknown.filter(|_| !facts.fail_open) {
        return Verdict::Unknown(unknown);
    }
    if facts.horizon.is_some_and(|horizon| facts.iat <= horizon) {
        return deny(DenyReason::HistoryIncomplete);
    }
    let staleness = facts.staleness.unwrap_or(Staleness::from_nanos(0));
    Verdict::Admitted(Admitted { staleness, failed_open: unknown })
}
