//! The changes of state that a verified message asks for.

use std::borrow::Cow;
use std::fmt;

use crate::timestamps::{DecidedAt, OccurredAt};

/// The id of an authority record, a governed session or a delegation. Revocations name it and
/// tokens carry it. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Anchor<'a>(pub(crate) Cow<'a, str>);

impl<'a> Anchor<'a> {
    /// Returns the anchor with this id. `None` if the text is empty, or is the `null` that the
    /// Coordinator writes for an absent value.
    #[must_use]
    pub fn new(id: impl Into<Cow<'a, str>>) -> Option<Self> {
        let id = id.into();
        (!id.is_empty() && id != "null").then_some(Self(id))
    }

    /// Returns the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Anchor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a zone. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone<'a>(pub(crate) Cow<'a, str>);

impl Zone<'_> {
    /// Returns the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One change of state that a verified message asks for.
///
/// Each change is monotone or idempotent, so messages may arrive twice and in any order. The enum
/// is exhaustive: code that applies changes must handle a new kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Every token that carries the anchor is denied from now on.
    Revoke(Anchor<'a>),
    /// Every token of the session is denied until a later [`Change::Resume`].
    Suspend(Suspension<'a>),
    /// Ends the suspensions that are earlier in both times.
    Resume(Resumption<'a>),
    /// The zone's delegation graph has reached a new epoch.
    DelegationEpoch(DelegationEpoch<'a>),
    /// The zone's cached keys, and everything that was verified with them, are stale.
    ForgetKeys(Zone<'a>),
    /// The zone's policy bundle is stale.
    ReloadPolicy(PolicyReload<'a>),
}

impl Change<'_> {
    /// Returns the change with owned text, which outlives the message.
    #[must_use]
    pub fn into_owned(self) -> Change<'static> {
        let anchor = |Anchor(id)| Anchor(owned(id));
        let zone = |Zone(id)| Zone(owned(id));
        match self {
            Self::Revoke(it) => Change::Revoke(anchor(it)),
            Self::Suspend(suspension) => Change::Suspend(Suspension {
                session: anchor(suspension.session),
                occurred: suspension.occurred,
                decided: suspension.decided,
            }),
            Self::Resume(resumption) => Change::Resume(Resumption {
                session: anchor(resumption.session),
                occurred: resumption.occurred,
                decided: resumption.decided,
            }),
            Self::DelegationEpoch(delegations) => Change::DelegationEpoch(DelegationEpoch {
                zone: zone(delegations.zone),
                epoch: delegations.epoch,
                narrows: delegations.narrows,
                ended: delegations.ended.into_iter().map(anchor).collect(),
            }),
            Self::ForgetKeys(it) => Change::ForgetKeys(zone(it)),
            Self::ReloadPolicy(reload) => Change::ReloadPolicy(PolicyReload {
                zone: zone(reload.zone),
                version: reload.version.map(owned),
            }),
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// A session's suspension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension<'a> {
    /// The governed session.
    pub session: Anchor<'a>,
    /// The time at which the suspension occurred.
    pub occurred: OccurredAt,
    /// The time of the decision to suspend. If `None`, no resume lifts the suspension, because none
    /// can be proven later.
    pub decided: Option<DecidedAt>,
}

/// The end of a session's suspensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption<'a> {
    /// The governed session.
    pub session: Anchor<'a>,
    /// The time at which the session was resumed.
    pub occurred: OccurredAt,
    /// The time of the decision to resume. If `None`, the resume lifts nothing.
    pub decided: Option<DecidedAt>,
}

impl Resumption<'_> {
    /// Returns `true` if the resume ends this suspension of the same session: both its times must
    /// be known, and later than those of the suspension.
    #[must_use]
    pub fn lifts(&self, suspension: &Suspension<'_>) -> bool {
        let decided = self.decided.zip(suspension.decided);
        suspension.occurred < self.occurred && decided.is_some_and(|(resume, held)| held < resume)
    }
}

/// A zone's delegation graph epoch, and the delegations that ended with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegationEpoch<'a> {
    /// The zone.
    pub zone: Zone<'a>,
    /// The epoch. The zone keeps the larger of this and its current one.
    pub epoch: u64,
    /// `true` if delegations ended, and `false` if one was created: that moves the epoch too.
    pub narrows: bool,
    /// The delegations that ended, each a revoked anchor.
    pub ended: Vec<Anchor<'a>>,
}

/// A zone's policy bundle to load again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReload<'a> {
    /// The zone.
    pub zone: Zone<'a>,
    /// The version that is now in force, if the message names one.
    pub version: Option<Cow<'a, str>>,
}
