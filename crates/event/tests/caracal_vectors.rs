//! Caracal's own vectors of the canonical form and its signature.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use caracal_revocation_event::{Key, canonical_form, sign_for};
use caracal_test_support::foreign::caracal_file;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Vector {
    description: String,
    stream: String,
    values: Map<String, Value>,
    expected_canonical: String,
    hmac_key_hex: String,
    expected_sig_hex: String,
}

impl Vector {
    /// Returns the fields without null values, which no message contains.
    fn fields(&self) -> Vec<(String, String)> {
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.into()));
        self.values.iter().filter_map(text).collect()
    }
}

/// Returns Caracal's vectors; none where Caracal's files are missing.
fn vectors() -> Vec<Vector> {
    let Some(text) = caracal_file("stream-sig-canonicalize.vectors.json") else { return vec![] };
    let vectors: Vec<Vector> = serde_json::from_str(&text).unwrap();
    let values = |vector: &Vector| vector.values.values().all(|v| v.is_null() || v.is_string());
    assert!(!vectors.is_empty() && vectors.iter().all(values));
    vectors
}

#[test]
fn canonical_form_equals_every_vector() {
    for vector in vectors() {
        let fields = vector.fields();
        let bytes: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let form = canonical_form(&vector.stream, &bytes).unwrap();
        assert_eq!(form, vector.expected_canonical.as_bytes(), "{}", vector.description);
    }
}

#[test]
fn signature_equals_every_vector() {
    for vector in vectors() {
        let mut fields = vector.fields();
        sign_for(&Key::from_hex(&vector.hmac_key_hex).unwrap(), &vector.stream, &mut fields)
            .unwrap();
        let signatures: Vec<_> = fields.iter().filter(|(name, _)| name == "_sig").collect();
        let expected = ("_sig".to_owned(), vector.expected_sig_hex);
        assert_eq!(signatures, [&expected], "{}", vector.description);
    }
}
