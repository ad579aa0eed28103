//! Reads the claims of a mandate, and checks that required claims are present and none repeated.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use caracal_revocation_state::Claims;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::errors::InvalidMandate;
use crate::mandate::{MandateClaims, SubjectType, Use};

#[derive(Deserialize)]
struct Payload {
    iss: Box<str>,
    sub: Box<str>,
    sub_type: SubjectType,
    #[serde(rename = "use")]
    usage: Use,
    aud: Audience,
    client_id: Box<str>,
    jti: Box<str>,
    zone_id: Box<str>,
    root_sid: Box<str>,
    nbf: Option<i64>,
    scope: Option<Box<str>>,
    target: Option<Vec<Box<str>>>,
    delegation_chain: Option<Vec<ChainHop>>,
    source_session_id: Option<Box<str>>,
    target_session_id: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(Box<str>),
    Several(Vec<Box<str>>),
}

#[derive(Deserialize)]
struct ChainHop {
    application_id: Box<str>,
}

/// Reads the claims of a payload. They are not verified yet.
pub(crate) fn read(json: &str, required: &[Box<str>]) -> Result<MandateClaims, InvalidMandate> {
    // Deserializing `Claims` rejects a repeated claim of any name; the code below relies on it.
    let claims: Claims = serde_json::from_str(json).map_err(|_| InvalidMandate::Claims)?;
    let payload: Payload = serde_json::from_str(json).map_err(|_| InvalidMandate::Claims)?;
    let named = [
        &payload.iss,
        &payload.sub,
        &payload.client_id,
        &payload.jti,
        &payload.zone_id,
        &payload.root_sid,
    ];
    let audience = match payload.aud {
        Audience::One(one) => vec![one],
        Audience::Several(several) => several,
    };
    if named.iter().any(|text| text.is_empty()) || !has(json, required)? {
        return Err(InvalidMandate::Claims);
    }
    Ok(MandateClaims {
        issuer: payload.iss,
        subject: payload.sub,
        subject_type: payload.sub_type,
        usage: payload.usage,
        audience,
        client: payload.client_id,
        id: payload.jti,
        zone: payload.zone_id,
        scopes: payload.scope.unwrap_or_default(),
        targets: payload.target.unwrap_or_default(),
        applications: payload
            .delegation_chain
            .unwrap_or_default()
            .into_iter()
            .map(|hop| hop.application_id)
            .collect(),
        source_session: payload.source_session_id,
        target_session: payload.target_session_id,
        issued: claims.iat,
        not_before: payload.nbf,
        expires: claims.exp,
        claims: Arc::new(claims),
        authority: OnceLock::new(),
    })
}

fn has(json: &str, required: &[Box<str>]) -> Result<bool, InvalidMandate> {
    if required.is_empty() {
        return Ok(true);
    }
    let present: HashMap<String, Option<IgnoredAny>> =
        serde_json::from_str(json).map_err(|_| InvalidMandate::Claims)?;
    Ok(required.iter().all(|name| matches!(present.get(name.as_ref()), Some(Some(_)))))
}
