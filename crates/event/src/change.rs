//! The changes of state that a verified message asks for.

use std::borrow::Cow;
use std::fmt;

use crate::timestamps::{DecidedAt, OccurredAt};

/// The id of an authority record, a governed session or a delegation: what a revocation names
/// and a token carries. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Anchor<'a>(pub(crate) Cow<'a, str>);

impl<'a> Anchor<'a> {
    /// The anchor with this id, unless the text names none: it is empty, or the `null` that the
    /// Coordinator writes for an absent value.
    #[must_use]
    pub fn new(id: impl Into<Cow<'a, str>>) -> Option<Self> {
        let id = id.into();
        (!id.is_empty() && id != "null").then_some(Self(id))
    }

    /// The id.
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
    /// The id.
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
/// Each is monotone or idempotent, so messages may arrive twice and in any order. A new kind of
/// change must be handled wherever changes are applied, so matches are exhaustive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Every token that carries the anchor is refused from now on.
    Revoke(Anchor<'a>),
    /// The session is refused until a later [`Change::Resume`].
    Suspend(Suspension<'a>),
    /// Suspensions that are earlier in both their times end.
    Resume(Resumption<'a>),
    /// The zone's delegation graph has moved on.
    DelegationEpoch(DelegationEpoch<'a>),
    /// The zone's cached keys, and everything that was verified with them, are stale.
    ForgetKeys(Zone<'a>),
    /// The zone's policy bundle is stale.
    ReloadPolicy(PolicyReload<'a>),
}

impl Change<'_> {
    /// Returns the change with text of its own, to keep beyond the message.
    #[must_use]
    pub fn into_owned(self) -> Change<'static> {
        let anchor = |Anchor(id)| Anchor(owned(id));
        let zone = |Zone(id)| Zone(owned(id));
        match self {
            Self::Revoke(it) => Change::Revoke(anchor(it)),
            Self::Suspend(told) => Change::Suspend(Suspension {
                session: anchor(told.session),
                occurred: told.occurred,
                decided: told.decided,
            }),
            Self::Resume(told) => Change::Resume(Resumption {
                session: anchor(told.session),
                occurred: told.occurred,
                decided: told.decided,
            }),
            Self::DelegationEpoch(told) => Change::DelegationEpoch(DelegationEpoch {
                zone: zone(told.zone),
                epoch: told.epoch,
                narrows: told.narrows,
                ended: told.ended.into_iter().map(anchor).collect(),
            }),
            Self::ForgetKeys(it) => Change::ForgetKeys(zone(it)),
            Self::ReloadPolicy(told) => Change::ReloadPolicy(PolicyReload {
                zone: zone(told.zone),
                version: told.version.map(owned),
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
    /// When the suspension occurred.
    pub occurred: OccurredAt,
    /// When it was decided; without it no resume can be proven later, so none lifts it.
    pub decided: Option<DecidedAt>,
}

/// The end of a session's suspensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption<'a> {
    /// The governed session.
    pub session: Anchor<'a>,
    /// When the session was resumed.
    pub occurred: OccurredAt,
    /// When that was decided; without it the resume lifts nothing.
    pub decided: Option<DecidedAt>,
}

impl Resumption<'_> {
    /// Returns `true` if it ends this suspension of the same session: both its times must be known
    /// and later.
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
    /// The epoch: the zone's becomes the larger of this and its own.
    pub epoch: u64,
    /// `true` if delegations ended; a new one moves the epoch too.
    pub narrows: bool,
    /// The delegations that ended, each a revoked anchor of its own.
    pub ended: Vec<Anchor<'a>>,
}

/// A zone's policy bundle to load again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReload<'a> {
    /// The zone.
    pub zone: Zone<'a>,
    /// The version that is now in force, where the message says it.
    pub version: Option<Cow<'a, str>>,
}
