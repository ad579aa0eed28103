//! A verified mandate, which only a verifier can construct.

use std::fmt;
use std::sync::{Arc, OnceLock};

use caracal_revocation_state::{Admission, Authority, Claims, Identity, Moment, Revocations};
use http::Extensions;
use serde::Deserialize;

/// A mandate whose signature and claims were verified by a [`Verifier`](crate::Verifier).
///
/// It may be revoked later: call
/// [`Revocations::decide`](caracal_revocation_state::Revocations::decide) with [`Self::claims`] on
/// each request. Clones share the same claims.
#[derive(Clone)]
pub struct Mandate(pub(crate) Arc<MandateClaims>);

/// Marks a request that a layer admitted without a token. Layers put it into the extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anonymous;

/// The claims of a token.
pub(crate) struct MandateClaims {
    pub(crate) claims: Arc<Claims>,
    /// The digested claims, computed on first use.
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

/// The claim `use`: where a mandate may be presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Use {
    /// `session`: at the STS, to request other mandates.
    Session,
    /// `gateway`: at a gateway.
    Gateway,
    /// `resource`: at a resource server.
    Resource,
}

/// The type of the subject: the claim `sub_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubjectType {
    /// `user`: a person.
    User,
    /// `application`: a program.
    Application,
}

impl Mandate {
    /// Returns the claims that a revocation decision needs.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// Returns the claims as an [`Authority`] of this state, for which a verdict costs less. It is
    /// computed on first use and kept with the mandate.
    ///
    /// Returns `None` while the state is not ready yet, and if another state computed it first. Use
    /// [`Self::claims`] then.
    #[must_use]
    pub fn authority(&self, revocations: &Revocations) -> Option<&Authority> {
        let token = &*self.0;
        let known = token.authority.get();
        // Not before the state is ready: a state that restores a snapshot must not have computed
        // digests before.
        let is_ready = known.is_some() || revocations.staleness(revocations.now_coarse()).is_ok();
        is_ready
            .then(|| {
                token.authority.get_or_init(|| revocations.authority_of(Arc::clone(&token.claims)))
            })
            .filter(|authority| authority.is_by(revocations))
    }

    /// Returns the identity for a decision of this state: the authority if there is one, else the
    /// claims.
    #[must_use]
    pub fn identity(&self, revocations: &Revocations) -> Identity {
        match self.authority(revocations) {
            Some(authority) => authority.clone().into(),
            None => Identity::Claims(Arc::clone(&self.0.claims)),
        }
    }

    /// Returns the mandate in the extensions of a request. If the request was admitted, the mandate
    /// must have the claims that were decided on. Any other mandate was left by another layer, and
    /// the result is `None`.
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

    /// Returns the claim `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Returns the claim `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Returns the claim `sub_type`.
    #[must_use]
    pub fn subject_type(&self) -> SubjectType {
        self.0.subject_type
    }

    /// Returns the claim `use`.
    #[must_use]
    pub fn token_use(&self) -> Use {
        self.0.usage
    }

    /// Returns the audiences of the claim `aud`.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.0.audience.iter().map(AsRef::as_ref)
    }

    /// Returns the claim `client_id`.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.0.client
    }

    /// Returns the claim `jti`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns the claim `zone_id`. It is always the zone of the verifier.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.0.zone
    }

    /// Returns the scopes: the words of the claim `scope`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Returns `true` if the mandate has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// Returns the entries of the claim `target`.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.0.targets.iter().map(AsRef::as_ref)
    }

    /// Returns the applications of the claim `delegation_chain`, in order.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        self.0.applications.iter().map(AsRef::as_ref)
    }

    /// Returns the claim `source_session_id`.
    #[must_use]
    pub fn source_session(&self) -> Option<&str> {
        self.0.source_session.as_deref()
    }

    /// Returns the claim `target_session_id`.
    #[must_use]
    pub fn target_session(&self) -> Option<&str> {
        self.0.target_session.as_deref()
    }

    /// Returns the number of delegations in the chain: [`Claims::hops`].
    #[must_use]
    pub fn hops(&self) -> u32 {
        self.0.claims.hops()
    }

    /// Returns the claim `iat`, in seconds since the Unix epoch.
    #[must_use]
    pub fn issued(&self) -> i64 {
        self.0.issued
    }

    /// Returns the claim `exp`, in seconds since the Unix epoch.
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

/// Returns the whole seconds since the Unix epoch, the unit of `iat` and `exp`.
pub(crate) fn unix_seconds(now: Moment) -> i64 {
    i64::try_from(now.wall.as_secs()).unwrap_or(i64::MAX)
}
