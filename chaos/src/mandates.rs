//! The issuer of a schedule: it signs ES256 mandates, and readers verify their signatures.

use std::time::{SystemTime, UNIX_EPOCH};

use caracal_revocation::Claims;
use caracal_test_support::signing_key::SigningKey;
use http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::history::Class;

pub const ZONE: &str = "zone-chaos";
pub const ISSUER: &str = "https://sts.example";
pub const AUDIENCE: &str = "gateway.example";

/// The number of tokens of each class but [`Class::Plain`], all issued at the start.
pub const FEW: usize = 14;
/// The delegation epoch of the first token of [`Class::Epoch`]. No other message reaches it.
const EPOCHS: u64 = 1_000_000;

pub struct Issuer(SigningKey);

pub struct Checker {
    key: DecodingKey,
    validation: Validation,
}

/// The kinds of ids in a token that can be revoked.
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
    pub fn new() -> Self {
        Self(SigningKey::new("chaos"))
    }

    pub fn public_key(&self) -> String {
        hex::encode(self.0.public_key())
    }

    /// Returns the key's entry in a JWKS.
    pub fn jwk(&self) -> Value {
        self.0.jwk()
    }

    /// Issues a mandate with its own anchors. Returns it with the second of its issue.
    pub fn mint(&self, token: usize, class: Class) -> Result<(String, i64), Failure> {
        let (mut claims, iat) = claims(token)?;
        if class == Class::Epoch {
            claims["delegation_graph_epoch"] = json!(epoch(token));
        }
        Ok((self.0.sign(&claims), iat))
    }

    /// Issues a mandate that is signed with a key of its own. Returns it with its key.
    pub fn mint_keyed(&self, token: usize) -> Result<(String, i64, Value), Failure> {
        let (claims, iat) = claims(token)?;
        let key = SigningKey::new(&kid(token));
        Ok((key.sign(&claims), iat, key.jwk()))
    }

    /// Issues a mandate of the governed session of another one.
    pub fn mint_successor(&self, token: usize, of: usize) -> Result<(String, i64), Failure> {
        let (mut claims, iat) = claims(token)?;
        claims["agent_session_id"] = json!(Anchor::AgentSession.of(of));
        Ok((self.0.sign(&claims), iat))
    }
}

/// Returns the `kid` of the token's own key.
pub fn kid(token: usize) -> String {
    format!("key-{token}")
}

/// Returns the delegation epoch at which the token was issued.
pub const fn epoch(token: usize) -> u64 {
    EPOCHS + token as u64
}

fn claims(token: usize) -> Result<(Value, i64), Failure> {
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
    Ok((claims, iat))
}

impl Checker {
    pub fn new(public_key: &str) -> Result<Self, Failure> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        Ok(Self { key: DecodingKey::from_ec_der(&hex::decode(public_key)?), validation })
    }

    /// Returns the claims of a request's mandate, if its signature is valid.
    pub fn claims(&self, headers: &HeaderMap) -> Option<Claims> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        decode(token, &self.key, &self.validation).ok().map(|good| good.claims)
    }
}
