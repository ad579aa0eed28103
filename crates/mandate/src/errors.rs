//! The errors of verification, and of the configuration of a verifier.

/// The reason why [`Verifier::verify`](crate::Verifier::verify) returned no mandate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is not a valid mandate for this service.
    #[error("{0}")]
    Invalid(#[from] InvalidMandate),
    /// The token cannot be verified now, because there are no usable keys: an outage.
    #[error("{0}")]
    Unavailable(#[from] KeysUnavailable),
}

/// The zone has no usable keys, because they could not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the zone's keys are not available")]
pub struct KeysUnavailable;

/// The reason why a token is not a valid mandate for this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMandate {
    /// The token is not three segments of base64url without padding.
    #[error("token is not three base64url segments")]
    Malformed,
    /// The header does not name `ES256` and a `kid`, or it has critical extensions.
    #[error("token header is not that of an ES256 mandate")]
    Header,
    /// Claims are missing, repeated or of the wrong type.
    #[error("claims are missing, repeated or of the wrong type")]
    Claims,
    /// The issuer is not the configured one.
    #[error("token is of another issuer")]
    Issuer,
    /// No audience of the token is a configured one.
    #[error("token is for another audience")]
    Audience,
    /// The zone is not the configured one.
    #[error("token is of another zone")]
    Zone,
    /// The use is not a configured one: for example, a session token at a resource server.
    #[error("token is for another use")]
    Use,
    /// The time is after `exp`, beyond the leeway.
    #[error("token has expired")]
    Expired,
    /// The time is before `iat` or `nbf`, beyond the leeway.
    #[error("token is not valid yet")]
    NotYet,
    /// The time from `iat` to `exp` is longer than
    /// [`LONGEST_LIFETIME`](caracal_revocation_state::LONGEST_LIFETIME).
    #[error("token lives longer than 60 minutes")]
    LifetimeTooLong,
    /// The zone publishes no key of this `kid`.
    #[error("token is signed with an unknown key")]
    UnknownKey,
    /// The signature does not verify with the key of this `kid`.
    #[error("token signature does not verify")]
    Signature,
}

impl InvalidMandate {
    /// Returns the reason as a label, such as `unknown_key`.
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

/// The reason why a verifier cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The issuer, the zone or an audience is empty.
    #[error("issuer, zone and audience must not be empty")]
    Empty,
    /// The address of the keys is not an `https` or `http` URL.
    #[error("the issuer (or the address of its keys) is not an https URL")]
    NotAUrl,
    /// The keys come over plain http from another machine: an attacker on the network could
    /// replace them.
    #[error(
        "keys over plain http can be replaced by an attacker on the network: use https or a \
         loopback address, or accept the risk with `insecure_accept_http_keys`"
    )]
    InsecureKeys,
    /// The keys come over HTTPS, but the feature `tls` is off.
    #[error("keys over https need the feature `tls`")]
    NoTls,
    /// The operating system has no certificate authorities, or the given PEM text holds none or a
    /// broken one.
    #[error("no trusted certificate authority: none was found, or one cannot be read")]
    NoCertificates,
    /// No backend for ES256: the feature `aws_lc_rs` is off, and
    /// [`VerifierBuilder::with_crypto`](crate::VerifierBuilder::with_crypto) was not called.
    #[error(
        "no backend for ES256: enable the feature `aws_lc_rs`, or pass one of jsonwebtoken's \
         with `with_crypto`"
    )]
    NoCrypto,
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes")]
    NoRandomness,
}
