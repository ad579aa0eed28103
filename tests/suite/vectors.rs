//! Every test vector of the wire contract.

use caracal_revocation::wire::{Key, KeyRing, Message, MessageRejectionKind, Stream};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

/// One test vector.
#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) stream: String,
    pub(crate) key_hex: String,
    #[serde(default)]
    fields: Vec<(String, String)>,
    #[serde(default)]
    fields_hex: Vec<(String, String)>,
    pub(crate) expect: String,
    #[serde(default)]
    effect: Option<Value>,
    #[serde(default)]
    dead_letter: bool,
}

impl Case {
    pub(crate) fn fields(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let text =
            self.fields.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone().into_bytes()));
        let hex = self.fields_hex.iter().map(|(n, v)| (unhex(n), unhex(v)));
        text.chain(hex).collect()
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn vectors() -> Vec<Case> {
    let text = include_str!("../vectors/events.json");
    serde_json::from_str::<Vectors>(text).unwrap().cases
}

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
    for case in
        vectors().into_iter().filter(|case| case.expect == "accept" && !case.fields.is_empty())
    {
        let key = Key::from_hex(&case.key_hex).unwrap();
        let mut fields = case.fields.clone();
        caracal_revocation::internal::sign(
            &key,
            Stream::from_name(&case.stream).unwrap(),
            &mut fields,
        );
        let signature = |fields: &[(String, String)]| {
            fields.iter().find(|(name, _)| name == "_sig").map(|(_, value)| value.to_lowercase())
        };
        assert_eq!(signature(&fields), signature(&case.fields), "{}", case.name);
    }
}
