//! Splits a token into its parts, strictly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::errors::InvalidMandate;
use crate::limits::MAX_KID;

/// The parts of a token. None of them is verified yet.
pub(crate) struct Token<'t> {
    /// The signed text: header and payload as they were received.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: Vec<u8>,
    pub(crate) kid: Box<str>,
    /// The payload's JSON text.
    pub(crate) payload: String,
}

#[derive(Deserialize)]
struct Header {
    alg: Box<str>,
    kid: Box<str>,
    crit: Option<IgnoredAny>,
}

impl<'t> Token<'t> {
    pub(crate) fn of(token: &'t str) -> Result<Self, InvalidMandate> {
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidMandate::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(InvalidMandate::Malformed)?;
        // A dot is not in the base64url alphabet, so a fourth segment fails to decode here.
        let signature = decode(signature)?;
        let payload = String::from_utf8(decode(payload)?).map_err(|_| InvalidMandate::Claims)?;
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| InvalidMandate::Header)?;
        let fits = (1..=MAX_KID).contains(&header.kid.len());
        if &*header.alg != "ES256" || !fits || header.crit.is_some() {
            return Err(InvalidMandate::Header);
        }
        Ok(Self { signed: signed.as_bytes(), signature, kid: header.kid, payload })
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, InvalidMandate> {
    match URL_SAFE_NO_PAD.decode(segment) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(InvalidMandate::Malformed),
    }
}
