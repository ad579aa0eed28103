//! Authorities: the anchors of a token, looked up once and reused.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{
    AnchorKind, Authority, BaselineFact, Checks, Claims, Hop, ManualClock, Options,
    RevocationsWriter, Verdict,
};

/// The start time of a [`ManualClock`].
const NOW: i64 = 1_795_400_000;

fn fresh() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
    revocations.confirm(revocations.now());
    (revocations, clock)
}

fn claims() -> Claims {
    let mut claims = Claims::new("ar-1", NOW, NOW + 900);
    claims.zone_id = Some("z-1".into());
    claims.delegation_chain = vec![Hop::new(Some("gs-2".into()), None)];
    claims
}

fn without_chain() -> Checks {
    let mut checks = Checks::default();
    checks.chain = false;
    checks
}

#[test]
fn authority_names_its_state_zone_record_and_claims() {
    let ((revocations, _), (other, _)) = (fresh(), fresh());
    let authority = revocations.authority(&claims());
    assert!(authority.is_by(&revocations) && !authority.is_by(&other));
    assert_eq!(authority.zone(), Some("z-1"));
    assert_eq!(authority.claims(), &claims());
    assert!(authority.names_record());
    let zoneless = revocations.authority(&Claims::new("", NOW, NOW + 900));
    assert_eq!((zoneless.zone(), zoneless.names_record()), (None, false));
    let mut session = Claims::new("", NOW, NOW + 900);
    session.agent_session_id = Some("gs-1".into());
    assert!(!revocations.authority(&session).names_record(), "a session is not a record");
    let text = format!("{authority:?}");
    assert!(text.contains("z-1") && !text.contains("ar-1"), "{text}");
}

#[test]
fn first_denied_request_takes_the_lag_of_a_revocation() {
    let second = Duration::from_secs(1);
    type Take = fn(&RevocationsWriter, &Authority, &Checks) -> Option<Duration>;
    let ways: [Take; 2] = [
        |revocations, authority, checks| authority.take_enforcement_lag(checks, revocations.now()),
        |revocations, _, checks| {
            revocations.take_enforcement_lag(&claims(), checks, revocations.now())
        },
    ];
    for take in ways {
        let (revocations, clock) = fresh();
        let authority = revocations.authority(&claims());
        assert_eq!(take(&revocations, &authority, &Checks::default()), None);
        revocations.add(&BaselineFact::Revoked("gs-2"), revocations.now());
        clock.advance(second);
        assert_eq!(take(&revocations, &authority, &without_chain()), None, "not looked up");
        assert_eq!(take(&revocations, &authority, &Checks::default()), Some(second));
        assert_eq!(take(&revocations, &authority, &Checks::default()), None, "reported once");
    }
}

#[test]
fn lookup_without_the_chain_proves_nothing_about_the_chain() {
    let (revocations, _) = fresh();
    revocations.add(&BaselineFact::Revoked("gs-2"), revocations.now());
    let authority = revocations.authority(&claims());
    let decide = |checks: &Checks| authority.decide(checks, revocations.now());
    assert!(matches!(decide(&without_chain()), Verdict::Admitted(_)));
    assert!(matches!(decide(&Checks::default()), Verdict::Denied(_)));
    revocations.add(&BaselineFact::Revoked("ar-1"), revocations.now());
    assert!(matches!(decide(&without_chain()), Verdict::Denied(_)));
}

#[test]
fn kinds_of_anchors_have_their_labels() {
    for (kind, label) in [
        (AnchorKind::Sid, "sid"),
        (AnchorKind::RootSid, "root_sid"),
        (AnchorKind::AgentSession, "agent_session"),
        (AnchorKind::Delegation, "delegation"),
        (AnchorKind::ChainSession, "chain_session"),
        (AnchorKind::ChainDelegation, "chain_delegation"),
    ] {
        assert_eq!(kind.label(), label);
    }
}

#[test]
fn each_pair_of_revoked_anchors_denies() {
    let mut claims = claims();
    claims.root_sid = Some("ar-0".into());
    claims.agent_session_id = Some("gs-1".into());
    claims.delegation_edge_id = Some("de-1".into());
    claims.delegation_chain = vec![Hop::new(Some("gs-2".into()), Some("de-2".into()))];
    claims.delegation_path = vec!["de-3".into()];
    let ids = ["ar-1", "ar-0", "gs-1", "de-1", "gs-2", "de-2", "de-3"];
    for (at, one) in ids.into_iter().enumerate() {
        for other in ids.into_iter().skip(at) {
            let (revocations, _) = fresh();
            revocations.add(&BaselineFact::Revoked(one), revocations.now());
            revocations.add(&BaselineFact::Revoked(other), revocations.now());
            let now = revocations.now();
            let verdict = revocations.decide(&claims, &Checks::default(), now);
            assert!(matches!(verdict, Verdict::Denied(_)), "{one} {other}: {verdict:?}");
            let authority = revocations.authority(&claims);
            assert_eq!(authority.decide(&Checks::default(), now), verdict, "{one} {other}");
        }
    }
}
