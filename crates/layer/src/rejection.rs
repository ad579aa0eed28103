//! Why a request was refused.

use std::time::Duration;

use caracal_revocation_mandate::{Invalid, Unmet, VerifyError};
use caracal_revocation_state::{AnchorKind, Cut, Reason, Refusal, Unknown};

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

/// The reasons to refuse a request, for a program to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// No `Authorization` header, or one of another scheme than `Bearer`.
    MissingToken,
    /// More than one `Authorization` header: which of them was verified?
    AmbiguousToken,
    /// A bearer token of more than 4096 bytes.
    OversizedToken,
    /// An `Authorization` header that cannot be read.
    MalformedHeader,
    /// A token that is not three segments, none of them empty.
    MalformedToken,
    /// A token whose payload is not base64url without padding.
    MalformedPayload,
    /// A token whose payload is not one JSON text.
    MalformedJson,
    /// Claims that are not an object, or are repeated, of the wrong type, or without `sid`, `iat`
    /// or `exp`.
    MalformedClaims,
    /// A token, but no claims: nobody verified it.
    UnverifiedToken,
    /// The request's `Admission` or `Authority` is of another `Revocations` than the layer's.
    OtherState,
    /// The token is no mandate for this service; [`Rejection::invalid`] says why.
    InvalidMandate,
    /// The mandate is of another zone than the configured one.
    InvalidZone,
    /// The mandate lacks a scope, a target, or is about another type of subject;
    /// [`Rejection::unmet`] says which.
    InsufficientScope,
    /// The mandate names no governed session.
    SessionRequired,
    /// The mandate names no delegation.
    DelegationRequired,
    /// The delegation chain lacks a required application.
    ChainMismatch,
    /// The mandate came through too many hops.
    HopCountExceeded,
    /// A token request with parameters in its URL, where somebody could read them in place of the
    /// body's.
    QueryParameters,
    /// The body of a token request is not one `application/x-www-form-urlencoded` text.
    UnsupportedBody,
    /// The body of a token request is longer than the limit.
    OversizedBody,
    /// The body of a token request did not come in time.
    StalledBody,
    /// The body of a token request broke off.
    BrokenBody,
    /// The form of a token request cannot be read in one way only.
    MalformedForm,
    /// A field of a token request stands twice.
    RepeatedField,
    /// The response has no length and the client speaks HTTP/1.0, where a cut response looks whole.
    UnsupportedVersion,
    /// An anchor of the token was revoked.
    Revoked,
    /// The session is suspended, or the token is older than the end of a suspension.
    Suspended,
    /// The zone's delegation graph has moved on since the token was made.
    DelegationStale,
    /// Messages may have been lost before the token was made: a newer one passes.
    HistoryIncomplete,
    /// The token's `exp`, and the leeway after it, have passed: before the request, or while it
    /// ran.
    Expired,
    /// The token's `iat` (or `nbf`) lies in the future by more than the leeway.
    NotYetValid,
    /// The token lives longer than any mandate may.
    LifetimeTooLong,
    /// The zone's keys cannot be fetched: an outage, not an invalid token.
    KeysUnavailable,
    /// Too little is known to say: an outage, not a revocation.
    Unknown,
}

impl RejectionKind {
    /// Every kind, each at its own [`RejectionKind::index`].
    pub(crate) const ALL: [Self; 34] = [
        Self::MissingToken,
        Self::AmbiguousToken,
        Self::OversizedToken,
        Self::MalformedHeader,
        Self::MalformedToken,
        Self::MalformedPayload,
        Self::MalformedJson,
        Self::MalformedClaims,
        Self::UnverifiedToken,
        Self::OtherState,
        Self::InvalidMandate,
        Self::InvalidZone,
        Self::InsufficientScope,
        Self::SessionRequired,
        Self::DelegationRequired,
        Self::ChainMismatch,
        Self::HopCountExceeded,
        Self::QueryParameters,
        Self::UnsupportedBody,
        Self::OversizedBody,
        Self::StalledBody,
        Self::BrokenBody,
        Self::MalformedForm,
        Self::RepeatedField,
        Self::UnsupportedVersion,
        Self::Revoked,
        Self::Suspended,
        Self::DelegationStale,
        Self::HistoryIncomplete,
        Self::Expired,
        Self::NotYetValid,
        Self::LifetimeTooLong,
        Self::KeysUnavailable,
        Self::Unknown,
    ];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The kind as a label, such as `missing_token`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::AmbiguousToken => "ambiguous_token",
            Self::OversizedToken => "oversized_token",
            Self::MalformedHeader => "malformed_header",
            Self::MalformedToken => "malformed_token",
            Self::MalformedPayload => "malformed_payload",
            Self::MalformedJson => "malformed_json",
            Self::MalformedClaims => "malformed_claims",
            Self::UnverifiedToken => "unverified_token",
            Self::OtherState => "other_state",
            Self::InvalidMandate => "invalid_mandate",
            Self::InvalidZone => "invalid_zone",
            Self::InsufficientScope => "insufficient_scope",
            Self::SessionRequired => "session_required",
            Self::DelegationRequired => "delegation_required",
            Self::ChainMismatch => "chain_mismatch",
            Self::HopCountExceeded => "hop_count_exceeded",
            Self::QueryParameters => "query_parameters",
            Self::UnsupportedBody => "unsupported_body",
            Self::OversizedBody => "oversized_body",
            Self::StalledBody => "stalled_body",
            Self::BrokenBody => "broken_body",
            Self::MalformedForm => "malformed_form",
            Self::RepeatedField => "repeated_field",
            Self::UnsupportedVersion => "unsupported_version",
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::DelegationStale => "delegation_stale",
            Self::HistoryIncomplete => "history_incomplete",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Unknown => "unknown",
        }
    }
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_stands_at_its_index_and_has_its_own_label() {
        for (index, kind) in RejectionKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
        assert_eq!(RejectionKind::ALL.len(), RejectionKind::Unknown.index() + 1);
        let labels: HashSet<_> = RejectionKind::ALL.map(RejectionKind::label).into();
        assert_eq!(labels.len(), RejectionKind::ALL.len());
    }
}
