//! The builder of a verifier, and its checks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{LEEWAY, Revocations};
use jsonwebtoken::crypto::CryptoProvider;

use crate::errors::ConfigError;
use crate::fetch::Fetcher;
use crate::fetch_state::KeyTimes;
use crate::keys::Keys;
use crate::limits::{KEYS_DEADLINE, MAX_MANDATES};
use crate::mandate::Use;
use crate::mandate_cache::MandateCache;
use crate::verifier::{Inner, Verifier};

/// Configures a [`Verifier`].
#[must_use]
pub struct VerifierBuilder {
    issuer: Box<str>,
    zone: Box<str>,
    audience: Vec<Box<str>>,
    uses: Vec<Use>,
    required: Vec<Box<str>>,
    leeway: Duration,
    capacity: u64,
    times: KeyTimes,
    keys_url: Option<Box<str>>,
    keys_deadline: Duration,
    authorities: Option<Box<[u8]>>,
    accept_http: bool,
    crypto: Option<&'static CryptoProvider>,
}

impl Verifier {
    /// Begins a verifier for mandates that `issuer` issued in `zone` for `audience`.
    ///
    /// The zone always comes from this call, never from a token.
    pub fn builder(issuer: &str, zone: &str, audience: &str) -> VerifierBuilder {
        VerifierBuilder::new(issuer, zone, audience)
    }
}

impl VerifierBuilder {
    fn new(issuer: &str, zone: &str, audience: &str) -> Self {
        Self {
            issuer: issuer.into(),
            zone: zone.into(),
            audience: vec![audience.into()],
            uses: vec![Use::Resource],
            required: Vec::new(),
            leeway: LEEWAY,
            capacity: MAX_MANDATES,
            times: KeyTimes::default(),
            keys_url: None,
            keys_deadline: KEYS_DEADLINE,
            authorities: None,
            accept_http: false,
            crypto: default_crypto(),
        }
    }

    /// Accepts mandates for this audience in addition to the first.
    pub fn with_audience(mut self, audience: &str) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Accepts mandates of these uses. The default is only [`Use::Resource`]; a gateway accepts
    /// [`Use::Gateway`].
    pub fn with_uses(mut self, uses: &[Use]) -> Self {
        self.uses = uses.to_vec();
        self
    }

    /// Requires this claim in addition to those that the contract requires. A null value counts as
    /// missing.
    pub fn with_required_claim(mut self, name: &str) -> Self {
        self.required.push(name.into());
        self
    }

    /// Sets the leeway for `iat`, `nbf` and `exp`: 60 seconds by default, and at most 60. Beyond
    /// 60 seconds after `exp`, every decision denies the token anyway.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(LEEWAY);
        self
    }

    /// Sets the largest number of cached mandates: 10,000 by default. Zero disables the cache.
    pub fn with_capacity(mut self, mandates: u64) -> Self {
        self.capacity = mandates;
        self
    }

    /// Sets the age at which keys are fetched again: 5 minutes by default (contract, "Mandates").
    pub fn with_keys_ttl(mut self, ttl: Duration) -> Self {
        self.times.ttl = ttl;
        self
    }

    /// Sets the extra time for which old keys are used while they cannot be fetched: 10 minutes by
    /// default.
    /// Invalidated keys get no grace.
    pub fn with_keys_grace(mut self, grace: Duration) -> Self {
        self.times.grace = grace;
        self
    }

    /// Fetches the keys from this address instead of the issuer's
    /// `/.well-known/jwks.json?zone_id=`.
    pub fn with_keys_url(mut self, url: &str) -> Self {
        self.keys_url = Some(url.into());
        self
    }

    /// Accepts keys over plain http from other machines, such as from `http://sts:8080`, the
    /// default issuer of Caracal's own deployments.
    ///
    /// An attacker who can change packets between this service and the STS can then replace the
    /// keys and forge mandates. Use it only on a network where no attacker can. Caracal's own
    /// services have the setting `CARACAL_ALLOW_INSECURE_CONFIG_URLS=true` for this; this crate
    /// does not read it.
    pub const fn insecure_accept_http_keys(mut self) -> Self {
        self.accept_http = true;
        self
    }

    /// Sets the time limit of one whole fetch of the keys: 5 seconds by default.
    pub fn with_keys_deadline(mut self, deadline: Duration) -> Self {
        self.keys_deadline = deadline;
        self
    }

    /// Trusts these certificate authorities (PEM) for keys over HTTPS, instead of those of the
    /// operating system. Use it for an STS whose certificate a private authority issued.
    #[cfg(feature = "tls")]
    pub fn with_keys_authorities(mut self, pem: &[u8]) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Verifies signatures with this backend of jsonwebtoken.
    pub fn with_crypto(mut self, crypto: &'static CryptoProvider) -> Self {
        self.crypto = Some(crypto);
        self
    }

    /// Builds the verifier. It follows the key generation of the zone in this state: a
    /// `keys.invalidate` makes it fetch the keys again.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that is wrong or missing.
    pub fn build(self, revocations: &Revocations) -> Result<Verifier, ConfigError> {
        let named = [&self.issuer, &self.zone].into_iter().chain(&self.audience);
        if named.into_iter().any(|text| text.is_empty()) {
            return Err(ConfigError::Empty);
        }
        let url = self.keys_url.unwrap_or_else(|| well_known(&self.issuer, &self.zone));
        let fetcher =
            Fetcher::new(&url, self.authorities.as_deref(), self.accept_http, self.keys_deadline)?;
        let crypto = self.crypto.ok_or(ConfigError::NoCrypto)?;
        let keys = Keys::new(&self.zone, revocations.clone(), fetcher, self.times);
        Ok(Verifier(Arc::new(Inner {
            cache: MandateCache::new(self.capacity)?,
            keys: Arc::new(keys),
            issuer: self.issuer,
            zone: self.zone,
            audience: self.audience,
            uses: self.uses,
            required: self.required,
            leeway: self.leeway,
            crypto,
            revocations: revocations.clone(),
        })))
    }
}

impl fmt::Debug for VerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("issuer", &self.issuer)
            .field("zone", &self.zone)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "aws_lc_rs")]
const fn default_crypto() -> Option<&'static CryptoProvider> {
    Some(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER)
}

#[cfg(not(feature = "aws_lc_rs"))]
const fn default_crypto() -> Option<&'static CryptoProvider> {
    None
}

/// Returns the URL at which an issuer publishes a zone's keys (contract, "Mandates").
fn well_known(issuer: &str, zone: &str) -> Box<str> {
    let mut url = format!("{}/.well-known/jwks.json?zone_id=", issuer.trim_end_matches('/'));
    for byte in zone.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_url_follows_the_contract() {
        assert_eq!(
            &*well_known("https://sts.example/", "zone 1&x"),
            "https://sts.example/.well-known/jwks.json?zone_id=zone%201%26x"
        );
    }
}
