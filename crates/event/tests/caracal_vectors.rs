//! Caracal's own vectors of the canonical form and its signature, and its example of a message.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use caracal_revocation_event::{
    Anchor, Change, Key, KeyRing, Message, Stream, canonical_form, sign, sign_for,
};
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

#[test]
fn example_message_revokes_its_authority_record() {
    let Some(text) = caracal_file("revocation-event.session.valid.json") else { return };
    let example: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let mut fields: Vec<_> = example
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    // The signature of the example is a placeholder.
    let key = Key::generate().unwrap();
    sign(&key, Stream::SessionsRevoke, &mut fields);
    let bytes: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let event = KeyRing::new(key).verify(&Message::new(Stream::SessionsRevoke, &bytes)).unwrap();
    let anchor = Anchor::new(example["session_id"].as_str().unwrap()).unwrap();
    assert_eq!(event.changes(), [Change::Revoke(anchor)]);
    assert_eq!(event.zone().unwrap().as_str(), example["zone_id"]);
}
