//! Observing only: the layer decides on every request, and denies none.

use RequestDenialKind::{
    AmbiguousToken, MalformedClaims, MalformedHeader, MissingToken, OtherState, OversizedToken,
    Revoked, Unknown, UnverifiedToken,
};

use super::*;

#[test]
fn observing_admits_every_request_and_records_the_outcome() {
    let (revocations, _) = fresh();
    revoke(&revocations, "sid", "ar-1");
    let strict = GatewayLayer::new(revocations.reader());
    let reading = strict.clone().with_insecure_unverified_claims();
    let mut twice = with_token("a.b.c");
    twice.headers_mut().append(AUTHORIZATION, "Bearer a.b.c".parse().unwrap());
    let cases = [
        (&strict, with_claims(claims("ar-1")), Revoked),
        (&strict, request(), MissingToken),
        (&strict, twice, AmbiguousToken),
        (&strict, with_token(&"a".repeat(5_000)), OversizedToken),
        (&strict, with_authorization("Bearer \u{e9}"), MalformedHeader),
        (&strict, with_token("a.b.c"), UnverifiedToken),
        (&reading, with_token(&token("{}")), MalformedClaims),
    ];
    for (layer, request, kind) in cases {
        assert_eq!(send(layer, request.clone()).denied(), kind);
        let outcome = send(&layer.clone().insecure_observe_only(), request);
        assert_eq!(outcome.observed().rejection().unwrap().kind(), kind);
        assert_eq!(outcome.observed().admitted(), None);
        assert_eq!(outcome.admitted(), None, "a proof although the request was not admitted");
    }
}

#[test]
fn observing_admits_requests_while_state_is_unknown() {
    let revocations =
        RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()));
    let layer = GatewayLayer::new(revocations.reader()).insecure_observe_only();
    let outcome = send(&layer, with_claims(claims("ar-1")));
    assert_eq!(outcome.observed().rejection().unwrap().kind(), Unknown);
}

#[test]
fn observed_request_carries_its_admission() {
    let layer = GatewayLayer::new(fresh().0.reader()).insecure_observe_only();
    let outcome = send(&layer, with_claims(claims("ar-1")));
    assert!(outcome.admitted().is_some());
    assert_eq!(outcome.observed().admitted(), outcome.admitted());
    assert!(outcome.observed().rejection().is_none());
}

#[test]
fn observed_denial_leaves_the_identity_to_inner_layers() {
    let (revocations, _) = fresh();
    let authority = revocations.authority_of(Arc::new(claims("ar-1")));
    revoke(&revocations, "sid", "ar-1");
    let layer = GatewayLayer::new(revocations.reader()).insecure_observe_only();
    let outcome = send(&layer, with_claims(claims("ar-1")));
    assert!(outcome.passed().extensions.get() == Some(&claims("ar-1")));
    let outcome = send(&layer, with_authority(authority));
    let left: Option<&Authority> = outcome.passed().extensions.get();
    assert!(left.is_some_and(|left| left.is_of(&claims("ar-1"))));
    // Those that the layer cannot decide on: of another token than the claims, or of another state.
    let mut differing = with_claims(claims("ar-2"));
    differing.extensions_mut().insert(revocations.authority(&claims("ar-1")));
    let foreign = with_authority(fresh().0.authority(&claims("ar-1")));
    for (request, kind) in [(differing, MalformedClaims), (foreign, OtherState)] {
        let outcome = send(&layer, request);
        assert_eq!(outcome.observed().rejection().unwrap().kind(), kind);
        assert!(outcome.passed().extensions.get::<Authority>().is_some());
    }
}
