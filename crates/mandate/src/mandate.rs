//! A verified mandate: what only a verifier can make.

use std::fmt;
use std::sync::{Arc, OnceLock};

use caracal_revocation_state::{Admission, Authority, Claims, Identity, Moment, Revocations};
use http::Extensions;
use serde::Deserialize;

/// A mandate whose signature and claims were verified by a [`Verifier`](crate::Verifier).
///
/// Clones share the same claims. Whether it was revoked since is asked anew each time, of
/// [`Revocations::decide`](caracal_revocation_state::Revocations::decide) with [`Self::claims`].
#[derive(Clone)]
pub struct Mandate(pub(crate) Arc<MandateClaims>);

/// For layers: marks a request that was let through without a token, in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anonymous;

/// The claims of a token.
pub(crate) struct MandateClaims {
    pub(crate) claims: Arc<Claims>,
    /// The claims digested: made when first asked for.
    pub(crate) authority: OnceLock<Authority>,
    pub(crate) issuer: Box<str>,
    pub(crate) subject: Box<str>,
    pub(crate) subject_type: SubjectType,
    pub(crate) usage: Use,
    pub(crate) audience: Vec<Box<str>>,
    pub(crate) client: Box<str>,
    pub(crate) id: Box<str>,
    pub(crate) zone: Box<str>,
    pub(crate) scopes: Box<str>,
    pub(crate) targets: Vec<Box<str>>,
    pub(crate) applications: Vec<Box<str>>,
    pub(crate) source_session: Option<Box<str>>,
    pub(crate) target_session: Option<Box<str>>,
    pub(crate) issued: i64,
    pub(crate) not_before: Option<i64>,
    pub(crate) expires: i64,
}

/// The use of a mandate: the claim `use`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Use {
    /// `session`: to ask the STS for mandates.
    Session,
    /// `gateway`: at a gateway.
    Gateway,
    /// `resource`: at a resource server.
    Resource,
}

/// Whom a mandate is about: the claim `sub_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubjectType {
    /// `user`.
    User,
    /// `application`.
    Application,
}

impl Mandate {
    /// The claims that revocation is about.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// The claims as this state's [`Authority`], whose verdict costs less: made when first asked
    /// for, and kept with the mandate.
    ///
    /// None where the claims must be asked about themselves: while the state has not become ready,
    /// and where another state asked first.
    #[must_use]
    pub fn authority(&self, revocations: &Revocations) -> Option<&Authority> {
        let token = &*self.0;
        let known = token.authority.get();
        // Not earlier: a state that still recalls what another remembered must have made no
        // digests of its own.
        let is_ready = known.is_some() || revocations.staleness(revocations.now_coarse()).is_ok();
        is_ready
            .then(|| {
                token.authority.get_or_init(|| revocations.authority_of(Arc::clone(&token.claims)))
            })
            .filter(|authority| authority.is_by(revocations))
    }

    /// The identity that this state decides on: with the authority, where there is one.
    #[must_use]
    pub fn identity(&self, revocations: &Revocations) -> Identity {
        match self.authority(revocations) {
            Some(authority) => authority.clone().into(),
            None => Identity::Claims(Arc::clone(&self.0.claims)),
        }
    }

    /// Returns the mandate of a request, from its extensions. If the request was admitted, only a
    /// mandate of the identity that was decided on counts: another layer left any other.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        let mandate = extensions.get::<Self>()?;
        let admission = extensions.get::<Admission>();
        admission.is_none_or(|admission| mandate.is_of(admission)).then_some(mandate)
    }

    /// Returns `true` if the request was admitted on the claims of this mandate.
    #[must_use]
    pub fn is_of(&self, admission: &Admission) -> bool {
        admission.claims().is_some_and(|claims| *claims == *self.0.claims)
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// `sub_type`.
    #[must_use]
    pub fn subject_type(&self) -> SubjectType {
        self.0.subject_type
    }

    /// `use`. (`use` is a word of Rust.)
    #[must_use]
    pub fn token_use(&self) -> Use {
        self.0.usage
    }

    /// `aud`, one or several.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.0.audience.iter().map(AsRef::as_ref)
    }

    /// `client_id`.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.0.client
    }

    /// `jti`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// `zone_id`: always the verifier's own zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.0.zone
    }

    /// The words of `scope`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Returns `true` if `scope` holds this word.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// `target`.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.0.targets.iter().map(AsRef::as_ref)
    }

    /// The applications of `delegation_chain`, in its order.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        self.0.applications.iter().map(AsRef::as_ref)
    }

    /// `source_session_id`.
    #[must_use]
    pub fn source_session(&self) -> Option<&str> {
        self.0.source_session.as_deref()
    }

    /// `target_session_id`.
    #[must_use]
    pub fn target_session(&self) -> Option<&str> {
        self.0.target_session.as_deref()
    }

    /// Returns how many delegations the authority came through: [`Claims::hops`].
    #[must_use]
    pub fn hops(&self) -> u32 {
        self.0.claims.hops()
    }

    /// `iat`, in seconds since the Unix epoch.
    #[must_use]
    pub fn issued(&self) -> i64 {
        self.0.issued
    }

    /// `exp`, in seconds since the Unix epoch.
    #[must_use]
    pub fn expires(&self) -> i64 {
        self.0.expires
    }
}

impl fmt::Debug for Mandate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mandate")
            .field("zone", &self.zone())
            .field("subject_type", &self.subject_type())
            .field("usage", &self.token_use())
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

/// Returns the whole seconds since the Unix epoch, as `iat` and `exp` count.
pub(crate) fn unix_seconds(now: Moment) -> i64 {
    i64::try_from(now.wall.as_secs()).unwrap_or(i64::MAX)
}
