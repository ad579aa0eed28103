//! An issuer of gateway mandates inside this process. It also verifies them, as a service's
//! authentication layer does.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use caracal_revocation::Claims;
use http::{Request, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::json;

/// The zone of the mandates.
pub const ZONE: &str = "zone-demo";
/// The `iss` claim of the mandates.
pub const ISSUER: &str = "https://sts.example";
const AUDIENCE: &str = "gateway.example";

/// Signs and verifies ES256 mandates with a key that is created at start.
#[derive(Clone)]
pub struct Issuer(Arc<Keys>);

struct Keys {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

impl Issuer {
    /// Creates an issuer with a new key.
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let private = pair.to_pkcs8v1()?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        Ok(Self(Arc::new(Keys {
            signing: EncodingKey::from_ec_der(private.as_ref()),
            verifying: DecodingKey::from_ec_der(pair.public_key().as_ref()),
            validation,
        })))
    }

    /// Signs a mandate for the session `sid` that is valid for ten minutes.
    pub fn mint(&self, sid: &str) -> Result<String, Box<dyn std::error::Error>> {
        self.mint_in(ZONE, sid)
    }

    /// Signs a mandate for the session `sid` in another zone. It is valid for ten minutes.
    pub fn mint_in(&self, zone: &str, sid: &str) -> Result<String, Box<dyn std::error::Error>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "agent-1", "sub_type": "application",
            "use": "gateway", "client_id": "client-1", "jti": format!("jti-{sid}"),
            "zone_id": zone, "sid": sid, "root_sid": sid, "iat": now, "exp": now + 600,
        });
        Ok(encode(&Header::new(Algorithm::ES256), &claims, &self.0.signing)?)
    }

    /// Inserts the claims of a valid mandate into the request's extensions. The gateway layer
    /// denies requests without claims.
    pub fn authenticate<B>(&self, mut request: Request<B>) -> Request<B> {
        if let Some(claims) = self.verify(&request) {
            request.extensions_mut().insert(claims);
        }
        request
    }

    fn verify<B>(&self, request: &Request<B>) -> Option<Claims> {
        let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        decode(token, &self.0.verifying, &self.0.validation).ok().map(|good| good.claims)
    }
}
