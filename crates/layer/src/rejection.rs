//! Why a request was refused.

use std::time::Duration;

use caracal_revocation_mandate::{Invalid, Unmet, VerifyError};
use caracal_revocation_state::{AnchorKind, Cut, Reason, Refusal, Unknown};

use crate::RejectionKind;
use crate::answer::Profile;

/// A request that did not reach the service, and why.
///
/// It stands in the extensions of the answer, where layers further out find it:
///
/// ```
/// use caracal_revocation_layer::{Rejection, RejectionKind};
/// fn is_outage<B>(response: &http::Response<B>) -> bool {
///     let rejection = response.extensions().get::<Rejection>();
///     rejection.is_some_and(|rejection| rejection.kind() == RejectionKind::Unknown)
/// }
/// assert!(!is_outage(&http::Response::new(())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", kind.label(), self.description(Profile::Gateway))]
pub struct Rejection {
    kind: RejectionKind,
    refusal: Option<Refusal>,
    unknown: Option<Unknown>,
    invalid: Option<Invalid>,
    unmet: Option<Unmet>,
    /// The anchor that was asked about, where it stood in no claim.
    anchor: Option<AnchorKind>,
    zone: Option<Box<str>>,
    enforcement_lag: Option<Duration>,
}

impl Rejection {
    pub(crate) fn refused(refusal: Refusal) -> Self {
        let kind = match refusal.reason() {
            Reason::Suspended => RejectionKind::Suspended,
            Reason::DelegationStale => RejectionKind::DelegationStale,
            Reason::HistoryIncomplete => RejectionKind::HistoryIncomplete,
            Reason::Expired => RejectionKind::Expired,
            Reason::NotYetValid => RejectionKind::NotYetValid,
            Reason::LifetimeTooLong => RejectionKind::LifetimeTooLong,
            // `Reason` may grow: what is refused for a new reason is refused for good.
            _ => RejectionKind::Revoked,
        };
        Self { refusal: Some(refusal), ..Self::from(kind) }
    }

    /// Of a request that was cut before it was answered.
    pub(crate) fn cut(cut: Cut) -> Self {
        match cut {
            Cut::Refused(refusal) => Self::refused(refusal),
            Cut::Unknown(unknown) => Self::unknown_state(unknown),
            // `Cut` may grow: what has ended for a new reason has ended.
            _ => Self::from(RejectionKind::Expired),
        }
    }

    pub(crate) fn unknown_state(unknown: Unknown) -> Self {
        Self { unknown: Some(unknown), ..Self::from(RejectionKind::Unknown) }
    }

    pub(crate) fn unverified(error: VerifyError) -> Self {
        match error {
            VerifyError::Invalid(invalid) => {
                let kind = match invalid {
                    Invalid::Zone => RejectionKind::InvalidZone,
                    Invalid::Expired => RejectionKind::Expired,
                    Invalid::NotYet => RejectionKind::NotYetValid,
                    Invalid::LifetimeTooLong => RejectionKind::LifetimeTooLong,
                    _ => RejectionKind::InvalidMandate,
                };
                Self { invalid: Some(invalid), ..Self::from(kind) }
            }
            // `VerifyError` may grow: what is not said to be invalid cannot be said.
            _ => Self::from(RejectionKind::KeysUnavailable),
        }
    }

    pub(crate) fn unmet_requirement(unmet: Unmet) -> Self {
        let kind = match unmet {
            Unmet::Session => RejectionKind::SessionRequired,
            Unmet::Delegation => RejectionKind::DelegationRequired,
            Unmet::Chain => RejectionKind::ChainMismatch,
            Unmet::Hops => RejectionKind::HopCountExceeded,
            _ => RejectionKind::InsufficientScope,
        };
        Self { unmet: Some(unmet), ..Self::from(kind) }
    }

    /// What the client is told: the table's words, or the verifier's where it has said why.
    pub(crate) fn description(&self, profile: Profile) -> String {
        match (self.invalid, self.unmet) {
            (Some(invalid), _) => invalid.to_string(),
            (_, Some(unmet)) => unmet.to_string(),
            _ => profile.answer(self.kind).description.to_owned(),
        }
    }

    pub(crate) fn in_zone(self, zone: Option<&str>) -> Self {
        Self { zone: zone.map(Box::from), ..self }
    }

    /// Of a request that named this anchor by itself, outside of a token.
    pub(crate) fn by_anchor(self, anchor: AnchorKind) -> Self {
        Self { anchor: self.anchor().map(|_| anchor), ..self }
    }

    pub(crate) fn after(self, enforcement_lag: Option<Duration>) -> Self {
        Self { enforcement_lag, ..self }
    }

    /// The reason to match.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The verdict, where the token was refused by one.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// What is not known, where that is the reason.
    #[must_use]
    pub const fn unknown(&self) -> Option<Unknown> {
        self.unknown
    }

    /// Why the token is no mandate for this service, where that is the reason.
    #[must_use]
    pub const fn invalid(&self) -> Option<Invalid> {
        self.invalid
    }

    /// What the mandate lacks, where that is the reason.
    #[must_use]
    pub const fn unmet(&self) -> Option<Unmet> {
        self.unmet
    }

    /// Which claim the refused anchor stands in, where it is about one.
    #[must_use]
    pub fn anchor(&self) -> Option<AnchorKind> {
        self.anchor.or_else(|| self.refusal?.anchor())
    }

    /// How long ago the revocation arrived here, where this is the first refusal for it.
    #[must_use]
    pub const fn enforcement_lag(&self) -> Option<Duration> {
        self.enforcement_lag
    }

    /// The zone that the claims name: free text, chosen by the client where nobody verified
    /// them.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }
}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self {
            kind,
            refusal: None,
            unknown: None,
            invalid: None,
            unmet: None,
            anchor: None,
            zone: None,
            enforcement_lag: None,
        }
    }
}
