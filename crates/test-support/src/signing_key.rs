//! ES256 keys for tests: they sign tokens, and return their JWKS entry.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A key pair and the `kid` under which it is published.
#[derive(Debug)]
pub struct SigningKey {
    kid: String,
    signing: EncodingKey,
    public_key: Vec<u8>,
}

impl SigningKey {
    /// Generates a key pair.
    pub fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness");
        let private = pair.to_pkcs8v1().expect("a key can be written");
        Self {
            kid: kid.to_owned(),
            signing: EncodingKey::from_ec_der(private.as_ref()),
            public_key: pair.public_key().as_ref().to_vec(),
        }
    }

    /// Returns the `kid` under which the key is published.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the private key for jsonwebtoken.
    pub const fn encoding_key(&self) -> &EncodingKey {
        &self.signing
    }

    /// Returns the public key as an uncompressed point: a byte `04`, and two coordinates.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Returns the key's entry in a JWKS.
    pub fn jwk(&self) -> Value {
        let [x, y] = [1..33, 33..65].map(|range| URL_SAFE_NO_PAD.encode(&self.public_key[range]));
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": x, "y": y,
        })
    }

    /// Signs the claims, with the `kid` in the header.
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.signing).expect("the claims can be signed")
    }
}
