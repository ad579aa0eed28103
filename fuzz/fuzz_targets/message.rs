//! Fuzzes messages on a stream: each is read or rejected as a whole, and is accepted only if
//! signed.
#![no_main]

use caracal_revocation_event::{Change, Key, KeyRing, Message, Stream, sign};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<(String, Vec<u8>)>)| {
    let (stream, fields) = input;
    let stream = Stream::ALL[usize::from(stream) % Stream::ALL.len()];
    let wire: Vec<(&[u8], &[u8])> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
    let read = KeyRing::insecure_accept_unsigned().verify(&Message::new(stream, &wire));
    for change in read.iter().flat_map(|event| event.changes()) {
        if let Change::Revoke(anchor) = change {
            assert!(!anchor.as_str().is_empty() && !anchor.as_str().contains('\n'));
        }
    }
    let key = Key::from_hex(&"5a".repeat(32)).unwrap();
    let ring = KeyRing::new(key.clone());
    assert!(ring.verify(&Message::new(stream, &wire)).is_err(), "the message is not signed");
    let text: Option<Vec<(String, String)>> = fields
        .iter()
        .filter(|(name, _)| name != "_sig")
        .map(|(name, value)| Some((name.clone(), String::from_utf8(value.clone()).ok()?)))
        .collect();
    let Some(mut text) = text else { return };
    let plain: Vec<_> = text.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone())).collect();
    sign(&key, stream, &mut text);
    let signed: Vec<_> = text.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let plain: Vec<_> = plain.iter().map(|(n, v)| (n.as_slice(), v.as_bytes())).collect();
    let unsigned = KeyRing::insecure_accept_unsigned().verify(&Message::new(stream, &plain)).ok();
    let signed = ring.verify(&Message::new(stream, &signed)).ok();
    assert_eq!(
        signed.map(|event| event.changes().to_vec()),
        unsigned.map(|event| event.changes().to_vec()),
    );
});
