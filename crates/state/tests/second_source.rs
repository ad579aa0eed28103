//! Facts that a baseline adds, and the horizon that it clears.

#![allow(clippy::panic, clippy::expect_used, reason = "tests may panic, their helpers too")]

use std::sync::Arc;

use caracal_revocation_event::OccurredAt;
use caracal_revocation_state::{
    BaselineFact, Checks, Claims, DenyReason, ManualClock, Options, Revocations, RevocationsWriter,
    Verdict,
};

/// Start time of a [`ManualClock`].
const HORIZON: i64 = 1_795_400_000;

fn fresh() -> RevocationsWriter {
    let revocations =
        RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()));
    revocations.confirm(revocations.now());
    revocations
}

/// Returns claims of a token from before the horizon.
fn token(usage: Option<&str>) -> Claims {
    let mut claims = Claims::new("ar-1", HORIZON, HORIZON + 900);
    claims.agent_session_id = Some("gs-1".into());
    claims.token_use = usage.map(Into::into);
    claims
}

fn reason(revocations: &Revocations, claims: &Claims) -> Option<DenyReason> {
    let now = revocations.now();
    let verdict = revocations.decide(claims, &Checks::default(), now);
    assert_eq!(revocations.authority(claims).decide(&Checks::default(), now), verdict);
    match verdict {
        Verdict::Denied(denial) => Some(denial.reason()),
        Verdict::Admitted(_) => None,
        Verdict::Unknown(why) => panic!("{why:?}"),
    }
}

fn at(text: &str) -> OccurredAt {
    OccurredAt::parse(text).expect("a time")
}

#[test]
fn baseline_clears_the_horizon_for_some_tokens() {
    let revocations = fresh();
    revocations.raise_horizon(HORIZON);
    let losses = revocations.losses();
    for usage in ["gateway", "resource", "session"] {
        let held = reason(&revocations, &token(Some(usage)));
        assert_eq!(held, Some(DenyReason::HistoryIncomplete), "{usage}");
    }
    assert!(revocations.clear_horizon(losses));
    assert_eq!(reason(&revocations, &token(Some("gateway"))), None);
    assert_eq!(reason(&revocations, &token(Some("resource"))), None);
    for usage in [Some("session"), Some("else"), None] {
        let held = reason(&revocations, &token(usage));
        assert_eq!(held, Some(DenyReason::HistoryIncomplete), "{usage:?}");
    }
    assert_eq!(revocations.horizon(), Some(HORIZON));
}

#[test]
fn resumed_session_keeps_the_horizon() {
    let revocations = fresh();
    revocations.raise_horizon(HORIZON);
    let suspended = at("2020-01-01T00:00:00Z");
    revocations.add(&BaselineFact::Resumed { session: "gs-1", suspended }, revocations.now());
    assert!(revocations.clear_horizon(revocations.losses()));
    let held = reason(&revocations, &token(Some("resource")));
    assert_eq!(held, Some(DenyReason::HistoryIncomplete));
    let mut older = token(Some("resource"));
    older.iat = suspended.floor_seconds();
    assert_eq!(reason(&revocations, &older), Some(DenyReason::Suspended));
}

#[test]
fn loss_during_a_read_keeps_the_horizon() {
    let revocations = fresh();
    revocations.raise_horizon(HORIZON);
    let losses = revocations.losses();
    revocations.suspect_loss();
    assert!(!revocations.clear_horizon(losses));
    let held = reason(&revocations, &token(Some("gateway")));
    assert_eq!(held, Some(DenyReason::HistoryIncomplete));
}

#[test]
fn baseline_adds_denials_and_removes_none() {
    let revocations = fresh();
    let now = revocations.now();
    let occurred = at("2026-11-20T10:00:00Z");
    revocations.add(&BaselineFact::Suspended { session: "gs-1", occurred, decided: None }, now);
    assert_eq!(reason(&revocations, &token(Some("resource"))), Some(DenyReason::Suspended));
    // A lifted suspension does not end one that is reported as open.
    revocations.add(&BaselineFact::Resumed { session: "gs-1", suspended: occurred }, now);
    assert_eq!(reason(&revocations, &token(Some("resource"))), Some(DenyReason::Suspended));
    revocations.add(&BaselineFact::Revoked("ar-1"), now);
    assert_eq!(reason(&revocations, &token(Some("resource"))), Some(DenyReason::Revoked));
    revocations.add(&BaselineFact::Epoch { zone: "z", epoch: 7, ended: false }, now);
    revocations.add(&BaselineFact::Epoch { zone: "z", epoch: 5, ended: true }, now);
    let zone = revocations.zone("z");
    assert_eq!((zone.delegation_epoch, zone.delegation_ended_epoch), (7, 5));
}

#[test]
fn reads_token_use_from_the_payload() {
    let payload = r#"{"sid":"a","use":"resource","iat":1,"exp":2}"#;
    let claims: Claims = serde_json::from_str(payload).expect("claims");
    assert_eq!(claims.token_use.as_deref(), Some("resource"));
}
