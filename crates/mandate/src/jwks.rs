//! The document in which a zone publishes its keys.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

/// Keys by their `kid`; never empty.
pub(crate) type ByKid = HashMap<Box<str>, PublicKey>;

/// A point on P-256.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    point: [u8; 64],
    key: DecodingKey,
}

impl PublicKey {
    pub(crate) const fn key(&self) -> &DecodingKey {
        &self.key
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: Box<str>,
    crv: Box<str>,
    alg: Box<str>,
    kid: Box<str>,
    x: Box<str>,
    y: Box<str>,
    #[serde(rename = "use")]
    usage: Option<Box<str>>,
    key_ops: Option<Vec<Box<str>>>,
}

/// The document cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the document is not a JSON object with an array \"keys\"")]
    NotKeys,
    #[error("the document holds no ES256 key with a kid of its own")]
    Empty,
}

/// The ES256 keys of a document (contract, "Tokens"); keys of other kinds are passed over.
pub(crate) fn read(document: &[u8]) -> Result<ByKid, Unusable> {
    let document: Document = serde_json::from_slice(document).map_err(|_| Unusable::NotKeys)?;
    let mut keys: HashMap<Box<str>, Option<PublicKey>> = HashMap::new();
    for (kid, key) in document.keys.into_iter().filter_map(usable) {
        // Two keys under one name: which of them is meant? Neither.
        keys.entry(kid).and_modify(|known| *known = None).or_insert(Some(key));
    }
    let keys: ByKid = keys.into_iter().filter_map(|(kid, key)| Some((kid, key?))).collect();
    if keys.is_empty() { Err(Unusable::Empty) } else { Ok(keys) }
}

fn usable(value: serde_json::Value) -> Option<(Box<str>, PublicKey)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let is_es256 = &*jwk.kty == "EC" && &*jwk.crv == "P-256" && &*jwk.alg == "ES256";
    let is_for_signatures = jwk.usage.is_none_or(|usage| &*usage == "sig")
        && jwk.key_ops.is_none_or(|ops| ops.is_empty() || ops.iter().any(|op| &**op == "verify"));
    if !is_es256 || !is_for_signatures || jwk.kid.is_empty() {
        return None;
    }
    let mut point = [0; 64];
    let (x, y) = point.split_at_mut(32);
    for (half, text) in [(x, &jwk.x), (y, &jwk.y)] {
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).ok()?;
        if bytes.len() != half.len() {
            return None;
        }
        half.copy_from_slice(&bytes);
    }
    let key = DecodingKey::from_ec_components(&jwk.x, &jwk.y).ok()?;
    Some((jwk.kid, PublicKey { point, key }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwk(kid: &str, change: &str) -> String {
        let point = URL_SAFE_NO_PAD.encode([7; 32]);
        let base = format!(
            r#"{{"kty":"EC","crv":"P-256","alg":"ES256","kid":"{kid}","x":"{point}","y":"{point}"}}"#
        );
        let (from, to) = change.split_once("=>").unwrap_or_default();
        base.replacen(from, to, usize::from(!change.is_empty()))
    }

    fn kids(jwks: &[String]) -> Result<Vec<String>, Unusable> {
        let document = format!(r#"{{"keys":[{}],"other":1}}"#, jwks.join(","));
        let mut kids: Vec<_> = read(document.as_bytes())?.into_keys().map(String::from).collect();
        kids.sort();
        Ok(kids)
    }

    #[test]
    fn takes_es256_keys_and_passes_over_others() {
        let others = [
            "\"EC\"=>\"RSA\"",
            "P-256=>P-384",
            "ES256=>ES384",
            "\"alg\":\"ES256\",=>",
            "\"kid\":\"x\",=>",
            "\"kid\":\"x\"=>\"kid\":\"\"",
            "\"kty\"=>\"use\":\"enc\",\"kty\"",
            "BwcHBw=>",
            "BwcHBw=>!!!!!!",
        ];
        let mut jwks = vec![jwk("a", ""), jwk("b", "\"kty\"=>\"use\":\"sig\",\"kty\"")];
        jwks.extend(others.map(|change| jwk("x", change)));
        assert_eq!(kids(&jwks).unwrap(), ["a", "b"]);
    }

    #[test]
    fn two_keys_of_one_name_are_none() {
        assert_eq!(kids(&[jwk("a", ""), jwk("a", ""), jwk("b", "")]).unwrap(), ["b"]);
    }

    #[test]
    fn a_document_without_keys_is_unusable() {
        assert_eq!(kids(&[]), Err(Unusable::Empty));
        assert_eq!(kids(&[jwk("a", "ES256=>HS256")]), Err(Unusable::Empty));
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
            assert_eq!(read(text.as_bytes()).unwrap_err(), Unusable::NotKeys);
        }
    }
}
