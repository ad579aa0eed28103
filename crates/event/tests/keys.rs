//! Keys, key rings, and what each of their signatures and seals is good for.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use caracal_revocation_event::{
    Key, KeyError, KeyRing, KeySlot, Message, MessageRejection, MessageRejectionKind, Stream, sign,
    sign_canary, sign_dead_letter,
};

const STREAM: Stream = Stream::SessionsRevoke;

type Fields = Vec<(String, String)>;

fn key(digits: &str) -> Key {
    Key::from_hex(&digits.repeat(32)).unwrap()
}

fn message(values: &[(&str, &str)]) -> Fields {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn bytes(fields: &Fields) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn signed(key: &Key, sign: impl Fn(&Key, &mut Fields)) -> Fields {
    let mut fields = message(&[("sid", "s-1"), ("zone_id", "z-1")]);
    sign(key, &mut fields);
    fields
}

/// Returns the slot of the key that signed these fields as a message.
fn slot(ring: &KeyRing, fields: &Fields) -> Result<KeySlot, MessageRejectionKind> {
    ring.verify(&Message::new(STREAM, &bytes(fields)))
        .map(|event| event.key())
        .map_err(|rejection| rejection.kind())
}

#[test]
fn key_is_hex_of_at_least_32_bytes() {
    for (text, error) in [
        ("5a".repeat(31), Some(KeyError::TooShort { bytes: 31 })),
        ("5a".repeat(32), None),
        ("5A".repeat(33), None),
        ("5a".repeat(200), None),
        (format!(" {}\n", "5a".repeat(32)), None),
        (String::new(), Some(KeyError::TooShort { bytes: 0 })),
        ("5a".repeat(32) + "5", Some(KeyError::NotHex)),
        ("5g".repeat(32), Some(KeyError::NotHex)),
    ] {
        assert_eq!(Key::from_hex(&text).err(), error, "{text:?}");
    }
}

#[test]
fn debug_output_hides_the_key() {
    let key = key("5a");
    assert_eq!(format!("{key:?}"), "Key(..)");
    assert!(!format!("{:?}", KeyRing::new(key)).contains("5a"));
}

#[test]
fn generated_keys_differ() {
    let fields = signed(&Key::generate().unwrap(), |key, fields| sign(key, STREAM, fields));
    let other = KeyRing::new(Key::generate().unwrap());
    assert_eq!(slot(&other, &fields), Err(MessageRejectionKind::Signature));
}

#[test]
fn ring_accepts_the_current_key_and_the_last_previous_one() {
    let ring = KeyRing::new(key("1a")).with_previous(key("2b")).with_previous(key("3c"));
    for (signer, expected) in [
        ("1a", Ok(KeySlot::Current)),
        ("2b", Err(MessageRejectionKind::Signature)),
        ("3c", Ok(KeySlot::Previous)),
    ] {
        let fields = signed(&key(signer), |key, fields| sign(key, STREAM, fields));
        assert_eq!(slot(&ring, &fields), expected, "{signer}");
    }
}

#[test]
fn ring_signs_with_its_current_key() {
    for ring in [KeyRing::new(key("1a")), KeyRing::new(key("1a")).with_previous(key("2b"))] {
        assert!(ring.verifies());
        let fields = signed(ring.signing_key().unwrap(), |key, fields| sign(key, STREAM, fields));
        assert_eq!(slot(&KeyRing::new(key("1a")), &fields), Ok(KeySlot::Current));
    }
}

#[test]
fn ring_without_keys_accepts_and_signs_nothing_as_its_own() {
    let ring = KeyRing::insecure_accept_unsigned();
    assert!(!ring.verifies());
    assert!(ring.signing_key().is_none());
    assert_eq!(slot(&ring, &message(&[("sid", "s-1")])), Ok(KeySlot::Unsigned));
    let labels = [KeySlot::Current, KeySlot::Previous, KeySlot::Unsigned].map(KeySlot::label);
    assert_eq!(labels, ["current", "previous", "unsigned"]);
}

type Sign = fn(&Key, &mut Fields);
type Verify = fn(&KeyRing, &Fields) -> Result<KeySlot, MessageRejection>;

#[test]
fn signature_is_valid_for_its_own_kind_alone() {
    let kinds: [(&str, Sign, Verify); 3] = [
        (
            "message",
            |key, fields| sign(key, STREAM, fields),
            |ring, fields| {
                ring.verify(&Message::new(STREAM, &bytes(fields))).map(|event| event.key())
            },
        ),
        (
            "dead letter",
            |key, fields| sign_dead_letter(key, STREAM, fields),
            |ring, fields| ring.verify_dead_letter(&Message::new(STREAM, &bytes(fields))),
        ),
        ("canary", sign_canary, |ring, fields| ring.verify_canary(&bytes(fields))),
    ];
    let ring = KeyRing::new(key("2b")).with_previous(key("1a"));
    for (signer, sign, _) in kinds {
        let fields = signed(&key("1a"), sign);
        let again = {
            let mut fields = fields.clone();
            sign(&key("1a"), &mut fields);
            fields
        };
        assert_eq!(fields, again, "a new signature replaces the old one");
        for (verifier, _, verify) in kinds {
            let outcome = verify(&ring, &fields).map_err(|rejection| rejection.kind());
            let expected = if signer == verifier {
                Ok(KeySlot::Previous)
            } else {
                Err(MessageRejectionKind::Signature)
            };
            assert_eq!(outcome, expected, "{signer} as {verifier}");
        }
    }
}

#[test]
fn seal_is_valid_for_its_key_purpose_and_bytes() {
    let seal = key("1a").seal("snapshot", b"bytes");
    let current = KeyRing::new(key("1a"));
    let previous = KeyRing::new(key("2b")).with_previous(key("1a"));
    for ring in [&current, &previous] {
        assert!(ring.is_sealed("snapshot", b"bytes", &seal));
        assert!(!ring.is_sealed("snapshot", b"byte", &seal));
        assert!(!ring.is_sealed("other", b"bytes", &seal));
        for at in 0..seal.len() {
            let mut changed = seal;
            changed[at] ^= 1;
            assert!(!ring.is_sealed("snapshot", b"bytes", &changed), "byte {at}");
        }
    }
    assert!(!KeyRing::new(key("2b")).is_sealed("snapshot", b"bytes", &seal));
    assert!(!KeyRing::insecure_accept_unsigned().is_sealed("snapshot", b"bytes", &seal));
}

#[test]
fn seal_stays_the_one_that_earlier_versions_wrote() {
    let seal = key("5a").seal("snapshot", b"bytes");
    // HMAC-SHA-256 of the bytes, with the HMAC-SHA-256 of the purpose as key.
    assert_eq!(hex::encode(seal), SEAL);
}

const SEAL: &str = "4fd81154be313319f466870c4ff06f969701c173397888a43c7b857ce1ba7c4c";

#[test]
fn rejection_reports_its_kind_and_if_a_key_signed() {
    let key = key("1a");
    let ring = KeyRing::new(key.clone());
    let unsigned = message(&[("sid", "s-1")]);
    let mut forged = unsigned.clone();
    forged.push(("_sig".to_owned(), "00".repeat(32)));
    let mut short = unsigned.clone();
    short.push(("_sig".to_owned(), "00".repeat(31)));
    let twice = message(&[("sid", "s-1"), ("sid", "s-2")]);
    let with_signature = |fields: &[(&str, &str)]| {
        let mut fields = message(fields);
        sign(&key, STREAM, &mut fields);
        fields
    };
    for (fields, text, was_signed) in [
        (&unsigned, "signature: the message has no _sig", false),
        (&forged, "signature: _sig is not that of an accepted key", false),
        (&short, "signature: _sig is not 64 hexadecimal digits", false),
        (&twice, "ambiguous: a field name occurs twice", false),
        (&with_signature(&[("a", "1")]), "malformed: the message names no anchor", true),
        (
            &with_signature(&[("a", "1\nb=2")]),
            "ambiguous: newlines leave more than one way to read the message",
            true,
        ),
    ] {
        let rejection = ring.verify(&Message::new(STREAM, &bytes(fields))).unwrap_err();
        assert_eq!((rejection.to_string().as_str(), rejection.was_signed()), (text, was_signed));
        assert!(text.starts_with(rejection.kind().label()), "{text}");
    }
    let large = MessageRejection::too_large();
    assert_eq!((large.kind(), large.was_signed()), (MessageRejectionKind::TooLarge, false));
    assert_eq!(large.kind().label(), "too_large");
}
