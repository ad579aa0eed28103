//! More is revoked than may be remembered: unknown, never forgotten, and over when there is room.

#![allow(clippy::panic, reason = "tests may panic, their helpers too")]

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{
    Checks, Claims, Known, ManualClock, Options, Reason, Revocations, RevocationsWriter, Unknown,
    Unready, Verdict,
};

const ROOM: usize = 16;
/// What a [`ManualClock`] starts at.
const NOW: i64 = 1_795_400_000;

fn full() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let mut options = Options::default();
    options.max_entries = ROOM;
    let revocations = RevocationsWriter::with_clock(options, clock.clone());
    for n in 0..ROOM {
        revocations.add(&Known::Revoked(&format!("ar-{n}")), revocations.now());
    }
    revocations.confirm(revocations.now());
    (revocations, clock)
}

fn verdict(revocations: &Revocations, sid: &str, iat: i64, checks: &Checks) -> Verdict {
    let claims = Claims::new(sid, iat, iat + 900);
    let now = revocations.now();
    let verdict = revocations.decide(&claims, checks, now);
    assert_eq!(revocations.authority(&claims).decide(checks, now), verdict);
    verdict
}

#[test]
fn a_revocation_without_room_makes_the_rest_unknown_until_there_is_room_again() {
    let (revocations, clock) = full();
    let checks = Checks::default();
    let made = NOW;
    assert!(matches!(verdict(&revocations, "other", made, &checks), Verdict::Admitted(_)));

    revocations.add(&Known::Revoked("one-too-many"), revocations.now());
    for sid in ["other", "one-too-many"] {
        let verdict = verdict(&revocations, sid, made, &checks);
        assert_eq!(verdict, Verdict::Unknown(Unknown::Full));
    }
    let Verdict::Refused(refusal) = verdict(&revocations, "ar-0", made, &checks) else {
        panic!("what is known was forgotten");
    };
    assert_eq!(refusal.reason(), Reason::Revoked);
    assert_eq!(revocations.readiness(revocations.now()).unready, Some(Unready::Full));
    assert!(!revocations.reopen(made + 5), "there is no room yet");
    assert_eq!(revocations.horizon(), None);

    clock.advance(revocations.options().memory + Duration::from_secs(120));
    revocations.sweep(revocations.now());
    revocations.confirm(revocations.now());
    let verdict_of = |sid, iat| verdict(&revocations, sid, iat, &checks);
    let made = i64::try_from(revocations.now().wall.as_secs()).unwrap_or(0);
    assert_eq!(verdict_of("one-too-many", made), Verdict::Unknown(Unknown::Full));
    assert!(revocations.reopen(made + 5));
    let Verdict::Refused(refusal) = verdict_of("one-too-many", made) else {
        panic!("what found no room was let in");
    };
    assert_eq!(refusal.reason(), Reason::HistoryIncomplete);
    assert!(matches!(verdict_of("other", made + 6), Verdict::Admitted(_)));
    assert!(!revocations.reopen(made + 9), "once is enough");
}

#[test]
fn who_fails_open_is_admitted_while_it_is_full_but_not_what_is_revoked() {
    let (revocations, _clock) = full();
    revocations.add(&Known::Revoked("one-too-many"), revocations.now());
    let mut checks = Checks::default();
    checks.fail_open_unknown = true;
    assert!(matches!(verdict(&revocations, "other", NOW, &checks), Verdict::Admitted(_)));
    assert!(matches!(verdict(&revocations, "ar-0", NOW, &checks), Verdict::Refused(_)));
}
