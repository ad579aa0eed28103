//! The issuer of the trial's mandates: it signs with ES256 and publishes its key.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use caracal_revocation::gateway::BoxError;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde::Serialize;

pub(super) const ZONE: &str = "try";
pub(super) const AUDIENCE: &str = "https://try.example";

const KEY_ID: &str = "try-1";
/// The lifetime of a mandate, in seconds.
const LIFETIME: u64 = 600;

/// Signs mandates with a key that exists only in this process.
#[derive(Clone)]
pub(super) struct Issuer {
    url: Arc<str>,
    key: EncodingKey,
    keys: Arc<str>,
}

#[derive(Serialize)]
struct MandateClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    sub_type: &'a str,
    #[serde(rename = "use")]
    token_use: &'a str,
    client_id: &'a str,
    jti: String,
    zone_id: &'a str,
    sid: &'a str,
    root_sid: &'a str,
    iat: u64,
    exp: u64,
}

impl Issuer {
    /// Creates an issuer with a new key. `url` is the address that answers with its keys.
    pub(super) fn new(url: &str) -> Result<Self, BoxError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1()?.as_ref());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        public.common.key_id = Some(KEY_ID.to_owned());
        let keys = serde_json::to_string(&JwkSet { keys: vec![public] })?;
        Ok(Self { url: url.into(), key, keys: keys.into() })
    }

    /// Returns the issuer's name in mandates, which is also its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the document for `/.well-known/jwks.json`.
    pub(super) fn keys(&self) -> &str {
        &self.keys
    }

    /// Signs a mandate of this session.
    pub(super) fn mint(&self, session: &str) -> Result<String, BoxError> {
        let now = get_current_timestamp();
        let claims = MandateClaims {
            iss: &self.url,
            aud: AUDIENCE,
            sub: "agent-1",
            sub_type: "application",
            token_use: "resource",
            client_id: "client-1",
            jti: format!("{session}-{now}"),
            zone_id: ZONE,
            sid: session,
            root_sid: session,
            iat: now,
            exp: now + LIFETIME,
        };
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) };
        Ok(encode(&header, &claims, &self.key)?)
    }
}
