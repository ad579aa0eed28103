//! Why a token is no mandate, why that cannot be decided, and why a verifier cannot be made.

/// A token that was not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is no mandate for this service.
    #[error("{0}")]
    Invalid(#[from] InvalidMandate),
    /// It cannot be said: an outage.
    #[error("{0}")]
    Unavailable(#[from] KeysUnavailable),
}

/// There are no keys of the zone that may be used: they could not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the zone's keys are not available")]
pub struct KeysUnavailable;

/// Why a token is no mandate for this service, for a program to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMandate {
    /// Not three segments of base64url without padding.
    #[error("token is not three base64url segments")]
    Malformed,
    /// A header that is not `ES256` with a `kid`, or that has critical extensions.
    #[error("token header is not that of an ES256 mandate")]
    Header,
    /// Claims that are missing, repeated or of the wrong type.
    #[error("claims are missing, repeated or of the wrong type")]
    Claims,
    /// Another issuer.
    #[error("token is of another issuer")]
    Issuer,
    /// Another audience.
    #[error("token is for another audience")]
    Audience,
    /// Another zone than the configured one.
    #[error("token is of another zone")]
    Zone,
    /// Made for another use, such as a session token at a resource server.
    #[error("token is for another use")]
    Use,
    /// Its time is over.
    #[error("token has expired")]
    Expired,
    /// Its time has not begun.
    #[error("token is not valid yet")]
    NotYet,
    /// It lives longer than [`LONGEST_LIFETIME`](caracal_revocation_state::LONGEST_LIFETIME).
    #[error("token lives longer than 60 minutes")]
    LifetimeTooLong,
    /// The zone publishes no key of this `kid`.
    #[error("token is signed with an unknown key")]
    UnknownKey,
    /// The key did not make this signature.
    #[error("token signature does not verify")]
    Signature,
}

impl InvalidMandate {
    /// The reason as a label, such as `unknown_key`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Zone => "zone",
            Self::Use => "use",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
        }
    }
}

/// Why a verifier cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Issuer, zone or audience is empty: nothing could be told from it.
    #[error("issuer, zone and audience must not be empty")]
    Empty,
    /// The keys' address is no `https` (or loopback `http`) URL.
    #[error("the issuer (or the address of its keys) is not an https URL")]
    NotAUrl,
    /// Keys over plain http from another machine: anybody in between could choose them.
    #[error(
        "keys over plain http could be replaced by anybody on the network: use https or a \
         loopback address, or accept that with `insecure_accept_http_keys`"
    )]
    InsecureKeys,
    /// The feature `tls` is off.
    #[error("keys over https need the feature `tls`")]
    NoTls,
    /// The operating system has no certificates to trust, or the text that was given holds none
    /// or a broken one.
    #[error("there are no certificates of authorities to trust, or one cannot be read")]
    NoCertificates,
    /// Neither the feature `aws_lc_rs` nor
    /// [`VerifierBuilder::with_crypto`](crate::VerifierBuilder::with_crypto).
    #[error(
        "no backend for ES256: enable the feature `aws_lc_rs`, or pass one of jsonwebtoken's \
         with `with_crypto`"
    )]
    NoCrypto,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}
