//! Signatures for streams of any name.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use caracal_revocation_event::{
    Key, KeyRing, Message, MessageRejectionKind, Stream, canonical_form, sign, sign_for,
};

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn name_of_a_stream_gives_the_signature_of_that_stream() {
    let key = Key::generate().unwrap();
    for stream in Stream::ALL {
        let (mut one, mut other) = (fields(&[("zone_id", "z"), ("sid", "s")]), Vec::new());
        other.clone_from(&one);
        sign(&key, stream, &mut one);
        sign_for(&key, stream.name(), &mut other).unwrap();
        assert_eq!(one, other, "{stream}");
    }
}

#[test]
fn signature_for_another_stream_is_rejected() {
    let key = Key::generate().unwrap();
    let mut message = fields(&[("zone_id", "z"), ("sid", "s")]);
    sign_for(&key, "caracal.audit.events", &mut message).unwrap();
    let bytes: Vec<_> = message.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let rejection = KeyRing::new(key).verify(&Message::new(Stream::SessionsRevoke, &bytes));
    assert_eq!(rejection.unwrap_err().kind(), MessageRejectionKind::Signature);
}

#[test]
fn signs_nothing_that_can_be_read_in_two_ways() {
    let key = Key::generate().unwrap();
    let cases = [
        // Signs the same bytes as the field `sid` on `caracal.sessions.revoke`.
        ("caracal.sessions.revoke\nsid=s", fields(&[("zone_id", "z")])),
        ("audit:events", fields(&[("a", "1"), ("a", "2")])),
        ("audit:events", fields(&[("_sig", "1"), ("_sig", "2")])),
        ("audit:events", fields(&[("a=b", "1")])),
        ("audit:events", fields(&[("a\nb", "1")])),
        ("audit:events", fields(&[("", "1")])),
    ];
    for (stream, unsigned) in cases {
        let bytes: Vec<_> = unsigned.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let rejection = canonical_form(stream, &bytes).unwrap_err();
        assert_eq!(rejection.kind(), MessageRejectionKind::Ambiguous, "{stream} {unsigned:?}");

        let mut message = unsigned.clone();
        assert!(sign_for(&key, stream, &mut message).is_err(), "{stream} {unsigned:?}");
        assert_eq!(message, unsigned);
    }
}
