//! Why a request was refused.

use caracal_revocation_state::{AnchorKind, Reason, Refusal, Unknown};

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
#[error("{}: {}", kind.label(), kind.answer().description)]
pub struct Rejection {
    kind: RejectionKind,
    refusal: Option<Refusal>,
    unknown: Option<Unknown>,
    zone: Option<Box<str>>,
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
    /// Claims that are not an object, or are repeated, of the wrong type, or without `sid`.
    MalformedClaims,
    /// A token, but no claims: nobody verified it.
    UnverifiedToken,
    /// An anchor of the token was revoked.
    Revoked,
    /// The session is suspended, or the token is older than the end of a suspension.
    Suspended,
    /// The zone's delegation graph has moved on since the token was made.
    DelegationStale,
    /// Messages may have been lost before the token was made: a newer one passes.
    HistoryIncomplete,
    /// Too little is known to say: an outage, not a revocation.
    Unknown,
}

impl RejectionKind {
    /// Every kind, each at its own [`RejectionKind::index`].
    pub(crate) const ALL: [Self; 14] = [
        Self::MissingToken,
        Self::AmbiguousToken,
        Self::OversizedToken,
        Self::MalformedHeader,
        Self::MalformedToken,
        Self::MalformedPayload,
        Self::MalformedJson,
        Self::MalformedClaims,
        Self::UnverifiedToken,
        Self::Revoked,
        Self::Suspended,
        Self::DelegationStale,
        Self::HistoryIncomplete,
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
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::DelegationStale => "delegation_stale",
            Self::HistoryIncomplete => "history_incomplete",
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
            // `Reason` may grow: what is refused for a new reason is refused for good.
            _ => RejectionKind::Revoked,
        };
        Self { refusal: Some(refusal), ..Self::from(kind) }
    }

    pub(crate) fn unknown_state(unknown: Unknown) -> Self {
        Self { unknown: Some(unknown), ..Self::from(RejectionKind::Unknown) }
    }

    pub(crate) fn in_zone(self, zone: Option<&str>) -> Self {
        Self { zone: zone.map(Box::from), ..self }
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

    /// Which claim the refused anchor stands in, where it is about one.
    #[must_use]
    pub fn anchor(&self) -> Option<AnchorKind> {
        self.refusal.and_then(|refusal| refusal.anchor())
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
        Self { kind, refusal: None, unknown: None, zone: None }
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
