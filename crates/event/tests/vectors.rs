//! Every test vector of the wire contract.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic")]

use caracal_revocation_event::{Key, KeyRing, Message, MessageRejectionKind, Stream, sign};
use caracal_test_support::vectors::vectors;
use serde_json::Value;

/// Sorts an effect's lists, which are sets.
fn sorted(mut effect: Value) -> Value {
    if let Some(revoked) = effect.get_mut("revoke").and_then(Value::as_array_mut) {
        revoked.sort_by_key(Value::to_string);
    }
    effect
}

#[test]
fn every_vector_has_its_expected_outcome() {
    let cases = vectors();
    assert_eq!(cases.len(), 70);
    for case in cases {
        let fields = case.fields();
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        let stream = Stream::from_name(&case.stream).unwrap();
        let ring = KeyRing::new(Key::from_hex(&case.key_hex).unwrap());
        let outcome = ring.verify(&Message::new(stream, &fields));
        let name = &case.name;
        match (case.expect.as_str(), outcome) {
            ("accept", Ok(event)) => {
                let effect = serde_json::to_value(event.effect()).unwrap();
                assert_eq!(sorted(effect), sorted(case.effect.unwrap()), "{name}");
                assert_eq!(event.is_recut(), case.dead_letter, "{name}");
            }
            (expected, Err(rejection)) => {
                let kind = match rejection.kind() {
                    MessageRejectionKind::Signature => "reject_signature",
                    MessageRejectionKind::Malformed => "reject_malformed",
                    MessageRejectionKind::Ambiguous => "reject_ambiguous",
                    _ => "another kind",
                };
                assert_eq!(kind, expected, "{name}: {rejection}");
            }
            (expected, Ok(event)) => panic!("{name}: {expected} expected, not {event:?}"),
        }
    }
}

#[test]
fn signing_reproduces_the_signature_of_every_accepted_vector() {
    for case in vectors() {
        if case.expect != "accept" || case.text_fields.is_empty() {
            continue;
        }
        let key = Key::from_hex(&case.key_hex).unwrap();
        let mut fields = case.text_fields.clone();
        sign(&key, Stream::from_name(&case.stream).unwrap(), &mut fields);
        let signature = |fields: &[(String, String)]| {
            fields.iter().find(|(name, _)| name == "_sig").map(|(_, value)| value.to_lowercase())
        };
        assert_eq!(signature(&fields), signature(&case.text_fields), "{}", case.name);
    }
}
