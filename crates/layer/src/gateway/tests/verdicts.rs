//! The verdict of the state decides about the request.

use std::time::Duration;

use RequestDenialKind::{
    DelegationStale, Expired, HistoryIncomplete, LifetimeTooLong, NotYetValid, Revoked, Suspended,
    Unknown,
};
use caracal_revocation_state::{
    AnchorKind, Checks, DenyReason, Hop, UnknownCause as Cause, Verdict,
};

use super::*;

fn chained() -> Claims {
    let mut claims = claims("ar-1");
    claims.delegation_chain.push(Hop::new(Some("gs-7".into()), Some("e-7".into())));
    claims.delegation_path.push("e-8".into());
    claims
}

#[test]
fn denies_a_revoked_token_by_each_of_its_anchors() {
    let anchors = [
        ("sid", "ar-1", AnchorKind::Sid),
        ("agent_session_id", "gs-7", AnchorKind::ChainSession),
        ("edge_id", "e-7", AnchorKind::ChainDelegation),
        ("edge_id", "e-8", AnchorKind::ChainDelegation),
    ];
    for (field, id, kind) in anchors {
        let (revocations, _) = fresh();
        let layer = GatewayLayer::new(revocations.reader());
        let authority = revocations.authority(&chained());
        let requests = || [with_claims(chained()), with_authority(authority.clone())];
        for request in requests() {
            assert!(send(&layer, request).admitted().is_some());
        }
        revoke(&revocations, field, id);
        for request in requests() {
            let outcome = send(&layer, request);
            assert_eq!(outcome.denied(), Revoked);
            let rejection = outcome.rejection().unwrap();
            assert_eq!(rejection.anchor(), Some(kind));
            assert_eq!(rejection.denial().unwrap().reason(), DenyReason::Revoked);
            assert_eq!(rejection.unknown(), None);
        }
    }
}

#[test]
fn denies_authority_of_another_state_or_without_record() {
    let (revocations, _) = fresh();
    let (other, _) = fresh();
    let layer = GatewayLayer::new(revocations.reader());
    let foreign = with_authority(other.authority(&chained()));
    assert_eq!(send(&layer, foreign).denied(), RequestDenialKind::OtherState);
    let mut nobody = chained();
    nobody.sid = "".into();
    let nobody = with_authority(revocations.authority(&nobody));
    assert_eq!(send(&layer, nobody).denied(), RequestDenialKind::MalformedClaims);
}

#[test]
fn denies_claims_and_authority_of_different_tokens() {
    let (revocations, _) = fresh();
    let layer = GatewayLayer::new(revocations.reader());
    revoke(&revocations, "sid", "ar-2");
    for (own, authority, denied) in [
        ("ar-1", "ar-1", None),
        ("ar-2", "ar-2", Some(Revoked)),
        ("ar-1", "ar-3", Some(RequestDenialKind::MalformedClaims)),
        ("ar-2", "ar-1", Some(RequestDenialKind::MalformedClaims)),
    ] {
        let mut request = with_claims(claims(own));
        request.extensions_mut().insert(revocations.authority(&claims(authority)));
        let outcome = send(&layer, request);
        match denied {
            None => assert!(outcome.admitted().is_some()),
            Some(kind) => assert_eq!(outcome.denied(), kind),
        }
    }
}

#[test]
fn ignores_chain_only_by_option() {
    let (revocations, _) = fresh();
    for (field, id) in [("agent_session_id", "gs-7"), ("edge_id", "e-7"), ("edge_id", "e-8")] {
        revoke(&revocations, field, id);
    }
    let layer = GatewayLayer::new(revocations.reader()).without_chain();
    assert!(send(&layer, with_claims(chained())).admitted().is_some());
    revoke(&revocations, "sid", "ar-1");
    assert_eq!(send(&layer, with_claims(chained())).denied(), Revoked);
}

#[test]
fn denies_suspended_session() {
    let (revocations, _) = fresh();
    let fields = [
        ("event", "suspend"),
        ("agent_session_id", "gs-1"),
        ("zone_id", "z-1"),
        ("dedupe_key", "suspend:gs-1:2026-11-20T10:00:00.000Z"),
    ];
    apply(&revocations, Stream::AgentsLifecycle, &fields);
    let mut claims = claims("ar-1");
    claims.agent_session_id = Some("gs-1".into());
    let outcome = send(&GatewayLayer::new(revocations.reader()), with_claims(claims));
    assert_eq!(outcome.denied(), Suspended);
    assert_eq!(outcome.rejection().unwrap().anchor(), Some(AnchorKind::AgentSession));
}

#[test]
fn denies_token_before_horizon_and_admits_newer_one() {
    let (revocations, _) = fresh();
    revocations.raise_horizon(NOW);
    let layer = GatewayLayer::new(revocations.reader());
    let mut claims = claims("ar-1");
    assert_eq!(send(&layer, with_claims(claims.clone())).denied(), HistoryIncomplete);
    claims.iat = NOW + 1;
    assert!(send(&layer, with_claims(claims)).admitted().is_some());
}

#[test]
fn denies_expired_overlong_and_early_tokens() {
    let (revocations, _) = fresh();
    let layer = GatewayLayer::new(revocations.reader()).fail_open_unknown();
    for (iat, exp, kind, description) in [
        (0, 3_600, Expired, "token expired"),
        (NOW - 3_600, NOW - 60, Expired, "token expired"),
        (NOW, NOW + 7 * 86_400, LifetimeTooLong, "token lives longer than 60 minutes"),
        (NOW + 61, NOW + 900, NotYetValid, "token is not valid yet"),
    ] {
        let claims = Claims::new("ar-1", iat, exp);
        let authority = revocations.authority(&claims);
        let mut both = with_claims(claims.clone());
        both.extensions_mut().insert(authority.clone());
        for request in [with_claims(claims), with_authority(authority), both] {
            let outcome = send(&layer, request);
            assert_eq!((outcome.denied(), outcome.status()), (kind, 401));
            let challenge = outcome.header("www-authenticate").unwrap();
            let expected =
                format!(r#"Bearer error="invalid_token", error_description="{description}""#);
            assert_eq!(challenge, expected);
        }
    }
}

#[test]
fn stale_delegation_has_its_own_reason() {
    let (revocations, _) = fresh();
    let fields = [("event", "edge_create"), ("edge_id", "e"), ("zone_id", "z"), ("epoch", "9")];
    apply(&revocations, Stream::DelegationsInvalidate, &fields);
    let mut claims = claims("ar-1");
    claims.zone_id = Some("z".into());
    claims.delegation_graph_epoch = 8;
    let mut checks = Checks::default();
    checks.delegation_epoch = true;
    let Verdict::Denied(denial) = revocations.decide(&claims, &checks, revocations.now()) else {
        panic!("a stale delegation was not denied");
    };
    assert_eq!(RequestDenial::denied(denial).kind(), DelegationStale);
    // The gateway does not check the epoch.
    assert!(
        send(&GatewayLayer::new(revocations.reader()), with_claims(claims)).admitted().is_some()
    );
}

#[test]
fn answers_503_once_state_is_stale_by_its_clock() {
    let (revocations, clock) = fresh();
    let layer = GatewayLayer::new(revocations.reader());
    clock.advance(Duration::from_secs(60));
    let admitted = send(&layer, with_claims(claims("ar-1"))).admitted().unwrap();
    assert_eq!(admitted.staleness(), Duration::from_secs(60));
    clock.advance(Duration::from_millis(1));
    let outcome = send(&layer, with_claims(claims("ar-1")));
    assert_eq!(outcome.denied(), Unknown);
    let cause = outcome.rejection().unwrap().unknown();
    assert!(matches!(cause, Some(Cause::Stale { .. })), "{cause:?}");
    revocations.confirm(revocations.now());
    assert!(send(&layer, with_claims(claims("ar-1"))).admitted().is_some());
}

#[test]
fn answers_503_before_history_is_read() {
    let revocations =
        RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()));
    let outcome = send(&GatewayLayer::new(revocations.reader()), with_claims(claims("ar-1")));
    assert_eq!(outcome.denied(), Unknown);
    assert_eq!(outcome.status(), 503);
}

#[test]
fn replaces_admission_of_another_layer() {
    let (revocations, clock) = fresh();
    let old = send(&GatewayLayer::new(revocations.reader()), with_claims(claims("ar-1")));
    let observing = GatewayLayer::new(revocations.reader()).insecure_observe_only();
    let observed = send(&observing, request()).observed().clone();
    clock.advance(Duration::from_secs(7));

    let mut again = request();
    again.extensions_mut().insert(old.passed().extensions.get::<Admission>().unwrap().clone());
    again.extensions_mut().insert(observed);
    let layer = GatewayLayer::new(revocations.reader());
    let outcome = send(&layer, again.clone());
    assert_eq!(outcome.admitted().unwrap().staleness(), Duration::from_secs(7));
    assert!(outcome.passed().extensions.get::<Observed>().is_none());
    let outcome = send(&observing, again);
    assert_eq!(outcome.admitted().unwrap().staleness(), Duration::from_secs(7));
    assert!(outcome.observed().rejection().is_none());
}

#[test]
fn admitted_request_carries_its_identity_in_the_admission_only() {
    let (revocations, _) = fresh();
    let layer = GatewayLayer::new(revocations.reader());
    let authority = revocations.authority(&claims("ar-1"));
    let mut with_both = with_claims(claims("ar-1"));
    with_both.extensions_mut().insert(authority.clone());
    let outer = send(&layer, with_claims(claims("ar-1")));
    let mut left_since = with_both.clone();
    left_since.extensions_mut().extend(outer.passed().extensions.clone());
    for request in [with_claims(claims("ar-1")), with_authority(authority), with_both, left_since] {
        let outcome = send(&layer, request);
        assert!(outcome.admitted().is_some());
        let extensions = &outcome.passed().extensions;
        assert!(extensions.get::<Claims>().is_none());
        assert!(extensions.get::<Authority>().is_none());
    }
}

#[test]
fn route_can_require_fresher_view_than_service() {
    let (revocations, clock) = fresh();
    let service = GatewayLayer::new(revocations.reader());
    let route = service.clone().with_deny_after(Duration::from_secs(2)).unwrap();
    assert_eq!(revocations.shortest_bound(), Duration::from_secs(2));
    clock.advance(Duration::from_secs(3));
    assert!(send(&service, with_claims(claims("ar-1"))).admitted().is_some());
    assert_eq!(send(&route, with_claims(claims("ar-1"))).denied(), Unknown);
    let error = route.with_deny_after(Duration::from_millis(399)).unwrap_err();
    assert_eq!(error.setting(), "with_deny_after");
}

#[test]
fn failing_open_admits_unknown_and_reports_cause_to_service() {
    let (revocations, clock) = fresh();
    revoke(&revocations, "sid", "ar-revoked");
    let layer = GatewayLayer::new(revocations.reader()).fail_open_unknown();
    let age = Duration::from_secs(61);
    clock.advance(age);
    let admitted = send(&layer, with_claims(claims("ar-1"))).admitted().unwrap();
    assert_eq!(admitted.staleness(), age);
    assert!(matches!(admitted.failed_open(), Some(Cause::Stale { .. })));
    assert_eq!(send(&layer, with_claims(claims("ar-revoked"))).denied(), Revoked);
}
