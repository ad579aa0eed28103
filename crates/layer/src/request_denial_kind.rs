//! The reasons to deny a request.

/// The reason to deny a request, for a program to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestDenialKind {
    /// No `Authorization` header, or one whose scheme is not `Bearer`.
    MissingToken,
    /// More than one `Authorization` header: it is unclear which of them was verified.
    AmbiguousToken,
    /// A bearer token of more than 4096 bytes.
    OversizedToken,
    /// An `Authorization` header that cannot be read.
    MalformedHeader,
    /// A token that does not have three segments, or has an empty one.
    MalformedToken,
    /// A token whose payload is not base64url without padding.
    MalformedPayload,
    /// A token whose payload is not one JSON text.
    MalformedJson,
    /// Claims that are not an object, or are repeated, of the wrong type, or without `sid`, `iat`
    /// or `exp`.
    MalformedClaims,
    /// A token without claims: no layer verified it.
    UnverifiedToken,
    /// The request's `Admission` or `Authority` is of another `Revocations` than the layer's.
    OtherState,
    /// The token is no mandate for this service.
    /// [`RequestDenial::invalid`](crate::RequestDenial::invalid) returns the reason.
    InvalidMandate,
    /// The zone of the mandate is not the configured one.
    InvalidZone,
    /// The mandate lacks a scope or a target, or has another type of subject.
    /// [`RequestDenial::unmet`](crate::RequestDenial::unmet) returns the requirement.
    InsufficientScope,
    /// The mandate names no governed session.
    SessionRequired,
    /// The mandate names no delegation.
    DelegationRequired,
    /// The delegation chain lacks a required application.
    ChainMismatch,
    /// The mandate came through too many hops.
    HopCountExceeded,
    /// A token request with parameters in its URL. Another program could read them instead of the
    /// parameters in the body.
    QueryParameters,
    /// The body of a token request is not one `application/x-www-form-urlencoded` text.
    UnsupportedBody,
    /// The body of a token request is longer than the limit.
    OversizedBody,
    /// The body of a token request did not arrive in time.
    StalledBody,
    /// The body of a token request ended early.
    BrokenBody,
    /// The form of a token request has more than one reading, or none.
    MalformedForm,
    /// A field of a token request is repeated.
    RepeatedField,
    /// The path has more than one reading, so that a route could be missed.
    AmbiguousPath,
    /// No configured route has this path and method.
    NoRoute,
    /// The mandate may be used once, and was used before.
    Replayed,
    /// The record of used mandates cannot be asked: an outage, not an invalid token.
    UseUnknown,
    /// The response has no length and the client speaks HTTP/1.0: a cut one would look complete.
    UnsupportedVersion,
    /// An anchor of the token was revoked.
    Revoked,
    /// The session is suspended, or the token is older than the end of a suspension.
    Suspended,
    /// The zone's delegation graph has changed since the token was issued.
    DelegationStale,
    /// Messages may have been lost since the token was issued. A newer token passes.
    HistoryIncomplete,
    /// The token's `exp` and the leeway after it have passed, before the request came or while it
    /// ran.
    Expired,
    /// The token's `iat` (or `nbf`) lies in the future by more than the leeway.
    NotYetValid,
    /// The token lives longer than any mandate may.
    LifetimeTooLong,
    /// The zone's keys cannot be fetched: an outage, not an invalid token.
    KeysUnavailable,
    /// The state is unknown: an outage, not a revocation.
    Unknown,
}

impl RequestDenialKind {
    /// All kinds, each at its [`RequestDenialKind::index`].
    pub(crate) const ALL: [Self; 38] = [
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
        Self::AmbiguousPath,
        Self::NoRoute,
        Self::Replayed,
        Self::UseUnknown,
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

    /// Returns the kind as a label, such as `missing_token`.
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
            Self::AmbiguousPath => "ambiguous_path",
            Self::NoRoute => "no_route",
            Self::Replayed => "replayed",
            Self::UseUnknown => "use_unknown",
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_kind_has_its_index_and_own_label() {
        for (index, kind) in RequestDenialKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
        assert_eq!(RequestDenialKind::ALL.len(), RequestDenialKind::Unknown.index() + 1);
        let labels: HashSet<_> = RequestDenialKind::ALL.map(RequestDenialKind::label).into();
        assert_eq!(labels.len(), RequestDenialKind::ALL.len());
    }
}
