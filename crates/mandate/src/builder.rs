//! How a verifier is made, and why it may not be.

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

/// A verifier to be.
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
    /// Begins a verifier of the mandates that `issuer` issued in `zone` for `audience`.
    ///
    /// The zone is configured here and never taken from a token.
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

    /// Takes mandates for this audience too.
    pub fn with_audience(mut self, audience: &str) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Takes mandates of these uses; only [`Use::Resource`] by default. A gateway takes
    /// [`Use::Gateway`].
    pub fn with_uses(mut self, uses: &[Use]) -> Self {
        self.uses = uses.to_vec();
        self
    }

    /// Requires this claim, in addition to those that the contract requires; null counts as
    /// missing.
    pub fn with_required_claim(mut self, name: &str) -> Self {
        self.required.push(name.into());
        self
    }

    /// How far clocks may be apart; 60 seconds by default. More counts as 60: so long after `exp`
    /// every decision denies the token.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(LEEWAY);
        self
    }

    /// How many verified mandates are remembered; 10,000 by default. Zero verifies each anew.
    pub fn with_capacity(mut self, mandates: u64) -> Self {
        self.capacity = mandates;
        self
    }

    /// How old keys may get before they are fetched again; 5 minutes by default.
    pub fn with_keys_ttl(mut self, ttl: Duration) -> Self {
        self.times.ttl = ttl;
        self
    }

    /// How much longer old keys are used while they cannot be fetched; 10 minutes by default.
    /// Keys that were invalidated are not.
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

    /// Fetches keys over plain http from other machines too, such as from `http://sts:8080`, the
    /// default issuer of Caracal's own deployments.
    ///
    /// Anybody who can change packets between this service and the STS can then make mandates
    /// that it accepts. Only for networks where nobody can. Caracal's own services need
    /// `CARACAL_ALLOW_INSECURE_CONFIG_URLS=true` for the same; this crate does not read that.
    pub const fn insecure_accept_http_keys(mut self) -> Self {
        self.accept_http = true;
        self
    }

    /// How long one fetch of the keys may take, the whole of it; 5 seconds by default.
    pub fn with_keys_deadline(mut self, deadline: Duration) -> Self {
        self.keys_deadline = deadline;
        self
    }

    /// Trusts these certificate authorities (PEM) where keys are fetched over HTTPS, and no
    /// longer those of the operating system: for an STS with certificates of your own.
    #[cfg(feature = "tls")]
    pub fn with_keys_authorities(mut self, pem: &[u8]) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Checks signatures with this backend of jsonwebtoken.
    pub fn with_crypto(mut self, crypto: &'static CryptoProvider) -> Self {
        self.crypto = Some(crypto);
        self
    }

    /// The verifier, which heeds the zone's key generation in this state.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] says what is wrong or missing.
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

/// Where an issuer publishes a zone's keys (contract, "Tokens").
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
    fn keys_are_where_the_contract_says() {
        assert_eq!(
            &*well_known("https://sts.example/", "zone 1&x"),
            "https://sts.example/.well-known/jwks.json?zone_id=zone%201%26x"
        );
    }
}
