//! The issuer of a schedule: mints ES256 mandates, of which readers check the signature.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use caracal_revocation::Claims;
use http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::json;

use crate::Failure;

pub const ZONE: &str = "zone-chaos";
const ISSUER: &str = "https://sts.example";
const AUDIENCE: &str = "gateway.example";

pub struct Issuer {
    key: EncodingKey,
    public_key: String,
}

pub struct Checker {
    key: DecodingKey,
    validation: Validation,
}

/// An anchor of a token: what can be revoked.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    Session,
    Root,
    AgentSession,
    Delegation,
    HopSession,
    HopDelegation,
}

impl Anchor {
    pub fn of(self, token: usize) -> String {
        let kind = match self {
            Self::Session => "ar",
            Self::Root => "root",
            Self::AgentSession => "gs",
            Self::Delegation => "de",
            Self::HopSession => "hop-gs",
            Self::HopDelegation => "hop-de",
        };
        format!("{kind}-{token}")
    }
}

impl Issuer {
    pub fn new() -> Result<Self, Failure> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let private = pair.to_pkcs8v1()?;
        Ok(Self {
            key: EncodingKey::from_ec_der(private.as_ref()),
            public_key: hex::encode(pair.public_key().as_ref()),
        })
    }

    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// A mandate with anchors of its own, and the second in which it was made.
    pub fn mint(&self, token: usize) -> Result<(String, i64), Failure> {
        let iat = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "agent-1", "sub_type": "application",
            "use": "gateway", "client_id": "client-1", "jti": format!("jti-{token}"),
            "zone_id": ZONE, "iat": iat, "exp": iat + 3_600,
            "sid": Anchor::Session.of(token), "root_sid": Anchor::Root.of(token),
            "agent_session_id": Anchor::AgentSession.of(token),
            "delegation_edge_id": Anchor::Delegation.of(token),
            "delegation_chain": [{
                "application_id": "app-1",
                "agent_session_id": Anchor::HopSession.of(token),
                "delegation_edge_id": Anchor::HopDelegation.of(token),
            }],
        });
        Ok((encode(&Header::new(Algorithm::ES256), &claims, &self.key)?, iat))
    }
}

impl Checker {
    pub fn new(public_key: &str) -> Result<Self, Failure> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        Ok(Self { key: DecodingKey::from_ec_der(&hex::decode(public_key)?), validation })
    }

    /// What a request's mandate says, if its signature is good.
    pub fn claims(&self, headers: &HeaderMap) -> Option<Claims> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        decode(token, &self.key, &self.validation).ok().map(|good| good.claims)
    }
}
