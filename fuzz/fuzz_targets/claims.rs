//! A token's payload: owned and borrowed text are read alike, and no anchor is empty.
#![no_main]

use caracal_revocation_state::{Checks, Claims, Known, Options, Revocations, Text, Verdict};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let scanned = std::str::from_utf8(payload).ok().and_then(Claims::scan);
    let owned = serde_json::from_slice::<Claims>(payload);
    let borrowed = serde_json::from_slice::<Claims<Text<'_>>>(payload);
    assert_eq!(owned.is_ok(), borrowed.is_ok());
    assert!(scanned.is_none_or(|scanned| borrowed.as_ref().is_ok_and(|claims| *claims == scanned)));
    let (Ok(owned), Ok(borrowed)) = (owned, borrowed) else { return };
    assert!(owned.anchors(true).eq(borrowed.anchors(true)));
    let revocations = Revocations::new(Options::default());
    revocations.confirm(revocations.now());
    for (_, anchor) in owned.anchors(true) {
        assert!(!anchor.is_empty());
        revocations.add(&Known::Revoked(anchor), revocations.now());
        let verdict = revocations.decide(&borrowed, &Checks::default(), revocations.now());
        assert!(matches!(verdict, Verdict::Refused(_)), "{anchor} is revoked");
    }
});
