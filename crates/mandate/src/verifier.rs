//! The verifier: turns a token into a mandate, or returns the reason why it is invalid.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{LONGEST_LIFETIME, Moment, Revocations};
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::CryptoProvider;

use crate::claims;
use crate::errors::{InvalidMandate, KeysUnavailable, VerifyError};
use crate::fetch_state::KidOrigin;
use crate::jwks::PublicKey;
use crate::keys::{Keys, Stamp};
use crate::mandate::{Mandate, MandateClaims, Use, unix_seconds};
use crate::mandate_cache::MandateCache;
use crate::token::Token;

/// Verifies the mandates of one issuer, zone and audience. Clones share the keys and the cache.
///
/// The crate's documentation lists the conditions for a valid token.
///
/// ```no_run
/// use caracal_revocation_mandate::Verifier;
/// use caracal_revocation_state::{Options, RevocationsWriter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let revocations = RevocationsWriter::new(Options::default()).reader();
/// let verifier = Verifier::builder("https://sts.example", "z-1", "https://api.example")
///     .build(&revocations)?;
/// verifier.warm_up().await?;
/// let mandate = verifier.verify("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.e30.c2ln").await?;
/// println!("{}", mandate.subject());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Verifier(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) issuer: Box<str>,
    pub(crate) zone: Box<str>,
    pub(crate) audience: Vec<Box<str>>,
    pub(crate) uses: Vec<Use>,
    pub(crate) required: Vec<Box<str>>,
    pub(crate) leeway: Duration,
    pub(crate) crypto: &'static CryptoProvider,
    pub(crate) keys: Arc<Keys>,
    pub(crate) cache: MandateCache,
    pub(crate) revocations: Revocations,
}

impl Verifier {
    /// Fetches the zone's keys, unless they are already held. Call it at start, so that no request
    /// waits for them.
    ///
    /// # Errors
    ///
    /// [`KeysUnavailable`] if the keys cannot be fetched. The next request tries again.
    pub async fn warm_up(&self) -> Result<(), KeysUnavailable> {
        self.0.keys.warm_up().await
    }

    /// Returns the mandate of a token that this verifier has verified before, if it has not expired
    /// and its keys are still published. It verifies no signature and does not check for
    /// revocation.
    #[must_use]
    pub fn cached(&self, token: &str) -> Option<Mandate> {
        self.0.cache.get(token, self.0.keys.stamp(), self.0.keys.now_coarse())
    }

    /// Verifies a token. Fetches the keys if necessary.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Invalid`] with the reason if the token is not a valid mandate for this
    /// service. [`VerifyError::Unavailable`] if there are no usable keys.
    pub async fn verify(&self, token: &str) -> Result<Mandate, VerifyError> {
        if let Some(mandate) = self.cached(token) {
            return Ok(mandate);
        }
        let inner = &*self.0;
        let parts = Token::of(token)?;
        let claims = claims::read(&parts.payload, &inner.required)?;
        // Before the key lookup: a token that does not fit must not cause a fetch.
        inner.fits(&claims, inner.keys.now())?;
        let is_of_zone = claims.zone == inner.zone;
        let (key, stamp) = if is_of_zone {
            inner.key(&parts.kid, &claims).await?
        } else {
            // A token of another zone must not cause a fetch either: other zones have other keys.
            inner.keys.held(&parts.kid).ok_or(InvalidMandate::UnknownKey)?
        };
        inner.check_signature(&parts, &key)?;
        // Only the holder of a validly signed token learns that its zone is wrong.
        if !is_of_zone {
            return Err(InvalidMandate::Zone.into());
        }
        let mandate = Mandate(Arc::new(claims));
        inner.cache.insert(token, &mandate, stamp);
        Ok(mandate)
    }

    /// Returns the revocation state that invalidates this verifier's keys.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Returns the configured zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.0.zone
    }
}

impl Inner {
    async fn key(
        &self,
        kid: &str,
        claims: &MandateClaims,
    ) -> Result<(PublicKey, Stamp), VerifyError> {
        let root = claims.claims.root_sid.as_deref().unwrap_or_default();
        let is_known = self.cache.has_record(root);
        let origin = if is_known { KidOrigin::KnownRecord } else { KidOrigin::UnknownClient };
        let found = self.keys.key(kid, origin).await;
        if found == Err(InvalidMandate::UnknownKey.into()) {
            // The holder of a valid mandate of this record can forge others. The record must have
            // another valid mandate before its tokens can force a search again.
            self.cache.forget_record(root);
        }
        found
    }

    fn fits(&self, claims: &MandateClaims, now: Moment) -> Result<(), InvalidMandate> {
        let leeway = self.leeway.as_secs().cast_signed();
        let now = unix_seconds(now);
        let lifetime = claims.expires.saturating_sub(claims.issued);
        let mut audience = claims.audience.iter();
        let begins =
            claims.not_before.map_or(claims.issued, |not_before| not_before.max(claims.issued));
        let conditions = [
            (claims.issuer == self.issuer, InvalidMandate::Issuer),
            (audience.any(|one| self.audience.contains(one)), InvalidMandate::Audience),
            (self.uses.contains(&claims.usage), InvalidMandate::Use),
            (lifetime <= LONGEST_LIFETIME.as_secs().cast_signed(), InvalidMandate::LifetimeTooLong),
            (begins <= now.saturating_add(leeway), InvalidMandate::NotYet),
            (now < claims.expires.saturating_add(leeway), InvalidMandate::Expired),
        ];
        conditions.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
    }

    fn check_signature(&self, token: &Token<'_>, key: &PublicKey) -> Result<(), InvalidMandate> {
        // The backend of this verifier, not the process-wide one: that panics if features enable
        // none or two.
        (self.crypto.verifier_factory)(&Algorithm::ES256, key.key())
            .ok()
            .and_then(|verifier| verifier.verify(token.signed, &token.signature).ok())
            .ok_or(InvalidMandate::Signature)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.0.issuer)
            .field("zone", &self.0.zone)
            .field("audience", &self.0.audience)
            .finish_non_exhaustive()
    }
}
