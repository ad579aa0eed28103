//! The document in which a zone publishes its keys.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

/// Keys by their `kid`. Never empty.
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

/// The reason why a document has no usable keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the document is not a JSON object with an array \"keys\"")]
    NotKeys,
    #[error("the document holds no ES256 key with a kid")]
    Empty,
    #[error("{0}, and the document holds no other ES256 key")]
    Faulty(Fault),
}

/// The keys of a document.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) keys: ByKid,
    /// The first unusable ES256 key, if any. Tokens signed with it do not verify.
    pub(crate) fault: Option<Fault>,
}

/// An ES256 key that cannot be used, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    kid: Box<str>,
    flaw: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// The coordinate of this name has this number of bytes.
    Length(&'static str, usize),
    NotBase64(&'static str),
    /// Several different keys have this `kid`.
    Ambiguous,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The document may be hostile: the log line stays short.
        let kid: String = self.kid.chars().take(64).collect();
        match self.flaw {
            Flaw::Length(name, bytes) => write!(
                f,
                "the key {kid:?} has {bytes} bytes in {name} where P-256 has 32: leading zero bytes \
                 must not be left out or added (RFC 7518, 6.2.1.2)"
            ),
            Flaw::NotBase64(name) => {
                write!(f, "the key {kid:?} has an {name} that is not base64url without padding")
            }
            Flaw::Ambiguous => write!(f, "the document lists different keys under {kid:?}"),
        }
    }
}

/// Reads the ES256 keys of a document (contract, "Mandates"). Other keys are ignored.
pub(crate) fn read(document: &[u8]) -> Result<Published, Unusable> {
    let document: Document = serde_json::from_slice(document).map_err(|_| Unusable::NotKeys)?;
    let mut keys: HashMap<Box<str>, Option<PublicKey>> = HashMap::new();
    let mut fault = None;
    for jwk in document.keys.into_iter().filter_map(es256) {
        match point(&jwk) {
            Ok(key) => match keys.get_mut(&jwk.kid) {
                None => drop(keys.insert(jwk.kid, Some(key))),
                // A key that is listed again changes nothing.
                Some(Some(known)) if *known == key => {}
                Some(known) => {
                    *known = None;
                    fault.get_or_insert(Fault { kid: jwk.kid, flaw: Flaw::Ambiguous });
                }
            },
            Err(flaw) => drop(fault.get_or_insert(Fault { kid: jwk.kid, flaw })),
        }
    }
    let keys: ByKid = keys.into_iter().filter_map(|(kid, key)| Some((kid, key?))).collect();
    match fault {
        Some(fault) if keys.is_empty() => Err(Unusable::Faulty(fault)),
        None if keys.is_empty() => Err(Unusable::Empty),
        fault => Ok(Published { keys, fault }),
    }
}

/// Returns the entry if it is an ES256 key with a `kid`, for signatures.
fn es256(value: serde_json::Value) -> Option<Jwk> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let is_es256 = &*jwk.kty == "EC" && &*jwk.crv == "P-256" && &*jwk.alg == "ES256";
    let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.is_empty() || ops.iter().any(|op| &**op == "verify"));
    (is_es256 && is_for_signatures && !jwk.kid.is_empty()).then_some(jwk)
}

fn point(jwk: &Jwk) -> Result<PublicKey, Flaw> {
    let mut point = [0; 64];
    let (x, y) = point.split_at_mut(32);
    for (name, half, text) in [("x", x, &jwk.x), ("y", y, &jwk.y)] {
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| Flaw::NotBase64(name))?;
        if bytes.len() != half.len() {
            return Err(Flaw::Length(name, bytes.len()));
        }
        half.copy_from_slice(&bytes);
    }
    let key = DecodingKey::from_ec_components(&jwk.x, &jwk.y);
    Ok(PublicKey { point, key: key.map_err(|_| Flaw::NotBase64("x or y"))? })
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
        let mut kids: Vec<_> =
            read(document.as_bytes())?.keys.into_keys().map(String::from).collect();
        kids.sort();
        Ok(kids)
    }

    #[test]
    fn reads_es256_keys_and_ignores_others() {
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
    fn accepts_key_that_is_listed_twice() {
        assert_eq!(kids(&[jwk("a", ""), jwk("a", ""), jwk("b", "")]).unwrap(), ["a", "b"]);
        assert_eq!(kids(&[jwk("a", ""), jwk("a", "")]).unwrap(), ["a"]);
    }

    #[test]
    fn ignores_different_keys_with_one_kid() {
        let other = URL_SAFE_NO_PAD.encode([8; 32]);
        let same = URL_SAFE_NO_PAD.encode([7; 32]);
        let different = jwk("a", &format!("{same}=>{other}"));
        let all = [jwk("a", ""), different.clone(), jwk("a", ""), jwk("b", "")];
        assert_eq!(kids(&all).unwrap(), ["b"]);
        let error = kids(&[jwk("a", ""), different]).unwrap_err().to_string();
        assert!(error.starts_with("the document lists different keys under \"a\""), "{error}");
    }

    #[test]
    fn reports_key_with_coordinate_of_wrong_length() {
        let full = URL_SAFE_NO_PAD.encode([7; 32]);
        for bytes in [0, 31, 33] {
            let cut = jwk("a", &format!("{full}=>{}", URL_SAFE_NO_PAD.encode(vec![7; bytes])));
            let error = kids(std::slice::from_ref(&cut)).unwrap_err().to_string();
            let expected = format!("the key \"a\" has {bytes} bytes in x where P-256 has 32");
            assert!(error.starts_with(&expected) && error.contains("RFC 7518, 6.2.1.2"), "{error}");
            let document = format!(r#"{{"keys":[{cut},{}]}}"#, jwk("b", ""));
            let read = read(document.as_bytes()).unwrap();
            assert_eq!(read.keys.len(), 1);
            assert!(read.fault.unwrap().to_string().starts_with(&expected));
        }
        let padded = jwk("a", &format!("{full}=>{full}="));
        let error = kids(&[padded]).unwrap_err().to_string();
        assert!(error.contains("an x that is not base64url without padding"), "{error}");
    }

    #[test]
    fn rejects_document_without_keys() {
        assert_eq!(kids(&[]), Err(Unusable::Empty));
        assert_eq!(kids(&[jwk("a", "ES256=>HS256")]), Err(Unusable::Empty));
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
            assert_eq!(read(text.as_bytes()).unwrap_err(), Unusable::NotKeys);
        }
    }
}
