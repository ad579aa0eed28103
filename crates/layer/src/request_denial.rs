//! The denial of a request, with its reason.

use std::time::Duration;

use caracal_revocation_mandate::{InvalidMandate, UnmetRequirement, VerifyError};
use caracal_revocation_state::{AnchorKind, Cut, Denial, DenyReason, UnknownCause};

use crate::RequestDenialKind;
use crate::answer::Profile;

/// The denial of a request that did not reach the service.
///
/// Outer layers find it in the extensions of the response:
///
/// ```
/// use caracal_revocation_layer::{RequestDenial, RequestDenialKind};
/// fn is_outage<B>(response: &http::Response<B>) -> bool {
///     let rejection = response.extensions().get::<RequestDenial>();
///     rejection.is_some_and(|rejection| rejection.kind() == RequestDenialKind::Unknown)
/// }
/// assert!(!is_outage(&http::Response::new(())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", kind.label(), self.description(Profile::Gateway))]
pub struct RequestDenial {
    kind: RequestDenialKind,
    denial: Option<Denial>,
    unknown: Option<UnknownCause>,
    invalid: Option<InvalidMandate>,
    unmet: Option<UnmetRequirement>,
    /// The denied anchor, if the request named it outside a token.
    anchor: Option<AnchorKind>,
    zone: Option<Box<str>>,
    enforcement_lag: Option<Duration>,
}

impl RequestDenial {
    pub(crate) fn denied(denial: Denial) -> Self {
        let kind = match denial.reason() {
            DenyReason::Suspended => RequestDenialKind::Suspended,
            DenyReason::DelegationStale => RequestDenialKind::DelegationStale,
            DenyReason::HistoryIncomplete => RequestDenialKind::HistoryIncomplete,
            DenyReason::Expired => RequestDenialKind::Expired,
            DenyReason::NotYetValid => RequestDenialKind::NotYetValid,
            DenyReason::LifetimeTooLong => RequestDenialKind::LifetimeTooLong,
            // `DenyReason` may grow: a new reason counts as revoked.
            _ => RequestDenialKind::Revoked,
        };
        Self { denial: Some(denial), ..Self::from(kind) }
    }

    /// Creates the denial of a request that was cut before it was answered.
    pub(crate) fn cut(cut: Cut) -> Self {
        match cut {
            Cut::Denied(denial) => Self::denied(denial),
            Cut::Unknown(unknown) => Self::unknown_state(unknown),
            // `Cut` may grow: a new reason counts as expired.
            _ => Self::from(RequestDenialKind::Expired),
        }
    }

    pub(crate) fn unknown_state(unknown: UnknownCause) -> Self {
        Self { unknown: Some(unknown), ..Self::from(RequestDenialKind::Unknown) }
    }

    pub(crate) fn unverified(error: VerifyError) -> Self {
        match error {
            VerifyError::Invalid(invalid) => {
                let kind = match invalid {
                    InvalidMandate::Zone => RequestDenialKind::InvalidZone,
                    InvalidMandate::Expired => RequestDenialKind::Expired,
                    InvalidMandate::NotYet => RequestDenialKind::NotYetValid,
                    InvalidMandate::LifetimeTooLong => RequestDenialKind::LifetimeTooLong,
                    _ => RequestDenialKind::InvalidMandate,
                };
                Self { invalid: Some(invalid), ..Self::from(kind) }
            }
            // `VerifyError` may grow: a new error counts as an outage.
            _ => Self::from(RequestDenialKind::KeysUnavailable),
        }
    }

    pub(crate) fn unmet_requirement(unmet: UnmetRequirement) -> Self {
        let kind = match unmet {
            UnmetRequirement::Session => RequestDenialKind::SessionRequired,
            UnmetRequirement::Delegation => RequestDenialKind::DelegationRequired,
            UnmetRequirement::Chain => RequestDenialKind::ChainMismatch,
            UnmetRequirement::Hops => RequestDenialKind::HopCountExceeded,
            UnmetRequirement::Use => RequestDenialKind::InvalidMandate,
            _ => RequestDenialKind::InsufficientScope,
        };
        Self { unmet: Some(unmet), ..Self::from(kind) }
    }

    /// Returns the description for the client: the verifier's, if there is one, else the table's.
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

    /// Sets the anchor that the request named outside a token.
    pub(crate) fn by_anchor(self, anchor: AnchorKind) -> Self {
        Self { anchor: self.anchor().map(|_| anchor), ..self }
    }

    pub(crate) fn after(self, enforcement_lag: Option<Duration>) -> Self {
        Self { enforcement_lag, ..self }
    }

    /// Returns the reason, for a program to match.
    #[must_use]
    pub const fn kind(&self) -> RequestDenialKind {
        self.kind
    }

    /// Returns the verdict, if a verdict denied the token.
    #[must_use]
    pub const fn denial(&self) -> Option<Denial> {
        self.denial
    }

    /// Returns the cause of an unknown state, if that is the reason.
    #[must_use]
    pub const fn unknown(&self) -> Option<UnknownCause> {
        self.unknown
    }

    /// Returns the verifier's reason, if the token is no mandate for this service.
    #[must_use]
    pub const fn invalid(&self) -> Option<InvalidMandate> {
        self.invalid
    }

    /// Returns the requirement that the mandate does not meet, if that is the reason.
    #[must_use]
    pub const fn unmet(&self) -> Option<UnmetRequirement> {
        self.unmet
    }

    /// Returns the kind of the denied anchor, if an anchor is the reason.
    #[must_use]
    pub fn anchor(&self) -> Option<AnchorKind> {
        self.anchor.or_else(|| self.denial?.anchor())
    }

    /// Returns the time from the arrival of the revocation to this denial, if it is the first one.
    #[must_use]
    pub const fn enforcement_lag(&self) -> Option<Duration> {
        self.enforcement_lag
    }

    /// Returns the zone that the claims name. If the claims are not verified, a client can choose
    /// any text.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }
}

impl From<RequestDenialKind> for RequestDenial {
    fn from(kind: RequestDenialKind) -> Self {
        Self {
            kind,
            denial: None,
            unknown: None,
            invalid: None,
            unmet: None,
            anchor: None,
            zone: None,
            enforcement_lag: None,
        }
    }
}
