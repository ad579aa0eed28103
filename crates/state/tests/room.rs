//! More revocations than the index holds: the state is unknown until there is room, and no entry is
//! lost.

#![allow(clippy::panic, reason = "tests may panic, their helpers too")]

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{
    BaselineFact, Checks, Claims, DenyReason, ManualClock, Options, Revocations, RevocationsWriter,
    UnknownCause, Verdict,
};

const CAPACITY: usize = 16;
/// Start time of a [`ManualClock`].
const NOW: i64 = 1_795_400_000;

fn full() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let mut options = Options::default();
    options.max_entries = CAPACITY;
    let revocations = RevocationsWriter::with_clock(options, clock.clone());
    for n in 0..CAPACITY {
        revocations.add(&BaselineFact::Revoked(&format!("ar-{n}")), revocations.now());
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
fn full_index_is_unknown_until_there_is_room() {
    let (revocations, clock) = full();
    let checks = Checks::default();
    let made = NOW;
    assert!(matches!(verdict(&revocations, "other", made, &checks), Verdict::Admitted(_)));

    revocations.add(&BaselineFact::Revoked("one-too-many"), revocations.now());
    for sid in ["other", "one-too-many"] {
        let verdict = verdict(&revocations, sid, made, &checks);
        assert_eq!(verdict, Verdict::Unknown(UnknownCause::Full));
    }
    let Verdict::Denied(denial) = verdict(&revocations, "ar-0", made, &checks) else {
        panic!("a known revocation was lost");
    };
    assert_eq!(denial.reason(), DenyReason::Revoked);
    assert_eq!(revocations.readiness(revocations.now()).unready, Some(UnknownCause::Full));
    assert!(!revocations.reopen(made + 5), "there is no room yet");
    assert_eq!(revocations.horizon(), None);

    clock.advance(revocations.options().memory + Duration::from_secs(120));
    revocations.sweep(revocations.now());
    revocations.confirm(revocations.now());
    let verdict_of = |sid, iat| verdict(&revocations, sid, iat, &checks);
    let made = i64::try_from(revocations.now().wall.as_secs()).unwrap_or(0);
    assert_eq!(verdict_of("one-too-many", made), Verdict::Unknown(UnknownCause::Full));
    assert!(revocations.reopen(made + 5));
    let Verdict::Denied(denial) = verdict_of("one-too-many", made) else {
        panic!("a revocation without room was admitted");
    };
    assert_eq!(denial.reason(), DenyReason::HistoryIncomplete);
    assert!(matches!(verdict_of("other", made + 6), Verdict::Admitted(_)));
    assert!(!revocations.reopen(made + 9), "nothing is left to clear");
}

#[test]
fn sweeping_every_slice_removes_what_expired() {
    let (revocations, clock) = full();
    clock.advance(revocations.options().memory + Duration::from_secs(120));
    let mut slices = 0;
    while revocations.entries() > 0 {
        revocations.sweep_slice(revocations.now());
        slices += 1;
        assert!(slices < 100_000, "{} entries are left", revocations.entries());
    }
}

#[test]
fn failing_open_admits_with_a_full_index_except_revoked() {
    let (revocations, _clock) = full();
    revocations.add(&BaselineFact::Revoked("one-too-many"), revocations.now());
    let mut checks = Checks::default();
    checks.fail_open_unknown = true;
    assert!(matches!(verdict(&revocations, "other", NOW, &checks), Verdict::Admitted(_)));
    assert!(matches!(verdict(&revocations, "ar-0", NOW, &checks), Verdict::Denied(_)));
}
