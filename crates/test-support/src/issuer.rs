//! An issuer of mandates inside this process: it signs with ES256 and publishes its keys.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Signs mandates of one zone with a key that can be rotated.
#[derive(Clone)]
pub struct Issuer {
    name: Arc<str>,
    zone: Arc<str>,
    key: Arc<Mutex<SigningKey>>,
}

struct SigningKey {
    kid: String,
    signing: EncodingKey,
    jwk: Value,
}

impl SigningKey {
    fn new() -> Result<Self, Error> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        // The public key is one byte (0x04, "uncompressed") and two coordinates of 32 bytes.
        let coordinate =
            |range| pair.public_key().as_ref().get(range).map(|half| URL_SAFE_NO_PAD.encode(half));
        let (x, y) = (coordinate(1..33), coordinate(33..65));
        let kid = x.clone().unwrap_or_default();
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y,
        });
        let signing = EncodingKey::from_ec_der(pair.to_pkcs8v1()?.as_ref());
        Ok(Self { kid, signing, jwk })
    }
}

impl Issuer {
    /// Creates an issuer with this name (the address from which its keys are fetched) and zone.
    pub fn new(name: &str, zone: &str) -> Result<Self, Error> {
        let key = Arc::new(Mutex::new(SigningKey::new()?));
        Ok(Self { name: name.into(), zone: zone.into(), key })
    }

    /// Replaces the key.
    pub fn rotate(&self) -> Result<(), Error> {
        *self.key() = SigningKey::new()?;
        Ok(())
    }

    /// Returns the document for `/.well-known/jwks.json`.
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.key().jwk] }).to_string()
    }

    /// Signs a mandate for the session `sid` that is valid for ten minutes. The claims in `more`
    /// are added, and replace claims with the same name.
    pub fn mint(&self, sid: &str, audience: &str, more: &Value) -> Result<String, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut claims = json!({
            "iss": &*self.name, "aud": audience, "sub": "agent-1", "sub_type": "application",
            "use": "resource", "client_id": "client-1", "jti": format!("{sid}-{now}"),
            "zone_id": &*self.zone, "sid": sid, "root_sid": sid, "iat": now, "exp": now + 600,
        });
        if let (Some(claims), Some(more)) = (claims.as_object_mut(), more.as_object()) {
            claims.extend(more.clone());
        }
        let key = self.key();
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::ES256) };
        Ok(encode(&header, &claims, &key.signing)?)
    }

    fn key(&self) -> MutexGuard<'_, SigningKey> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
