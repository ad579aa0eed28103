//! The sources of the claims, and requests without claims.

use RequestDenialKind::{
    AmbiguousToken, MalformedClaims, MalformedHeader, MalformedJson, MalformedPayload,
    MalformedToken, MissingToken, OversizedToken, Revoked, UnverifiedToken,
};

use super::*;

fn strict() -> GatewayLayer {
    GatewayLayer::new(fresh().0.reader())
}

fn reading() -> GatewayLayer {
    strict().with_insecure_unverified_claims()
}

#[test]
fn admits_verified_claims_with_and_without_bearer_token() {
    let layer = strict();
    assert!(send(&layer, with_claims(claims("ar-1"))).admitted().is_some());
    let mut request = with_token("opaque");
    request.extensions_mut().insert(claims("ar-1"));
    assert!(send(&layer, request).admitted().is_some());
}

#[test]
fn decides_on_verified_claims_and_ignores_unverified_token() {
    let (revocations, _) = fresh();
    revoke(&revocations, "sid", "ar-1");
    let layer = GatewayLayer::new(revocations.reader()).with_insecure_unverified_claims();
    let mut request = with_token(&token(r#"{"sid":"ar-2","iat":1795400000,"exp":1795403600}"#));
    request.extensions_mut().insert(claims("ar-1"));
    assert_eq!(send(&layer, request).denied(), Revoked);
    let mut request = with_token(&token(r#"{"sid":"ar-1","iat":1795400000,"exp":1795403600}"#));
    request.extensions_mut().insert(claims("ar-2"));
    assert!(send(&layer, request).admitted().is_some());
}

#[test]
fn denies_verified_claims_without_authority_record() {
    assert_eq!(send(&strict(), with_claims(claims(""))).denied(), MalformedClaims);
}

#[test]
fn denies_a_token_with_two_authorization_headers() {
    let good = format!("Bearer {}", token(r#"{"sid":"ar-1","iat":1795400000,"exp":1795403600}"#));
    for layer in [strict(), reading(), strict().allow_anonymous()] {
        for claims in [None, Some(claims("ar-1"))] {
            let mut request = with_authorization(&good);
            request.headers_mut().append(AUTHORIZATION, good.parse().unwrap());
            if let Some(claims) = claims {
                request.extensions_mut().insert(claims);
            }
            assert_eq!(send(&layer, request).denied(), AmbiguousToken);
        }
    }
}

#[test]
fn denies_token_over_4096_bytes_despite_verified_claims() {
    let long = "a".repeat(4097);
    for layer in [strict(), reading(), strict().allow_anonymous()] {
        assert_eq!(send(&layer, with_token(&long)).denied(), OversizedToken);
        let mut request = with_token(&long);
        request.extensions_mut().insert(claims("ar-1"));
        assert_eq!(send(&layer, request).denied(), OversizedToken);
    }
    let mut request = with_token(&long[1..]);
    request.extensions_mut().insert(claims("ar-1"));
    assert!(send(&strict(), request).admitted().is_some());
}

#[test]
fn denies_request_without_token() {
    assert_eq!(send(&strict(), request()).denied(), MissingToken);
    assert_eq!(send(&reading(), request()).denied(), MissingToken);
}

#[test]
fn admits_anonymous_request_by_option_without_admission() {
    let layer = strict().allow_anonymous();
    assert!(send(&layer, request()).admitted().is_none());
    // It passes even while the state is unknown.
    let layer =
        GatewayLayer::new(RevocationsWriter::new(Options::default()).reader()).allow_anonymous();
    send(&layer, request()).passed();
}

#[test]
fn request_with_any_authorization_header_is_not_anonymous() {
    let layer = reading().allow_anonymous();
    let cases = [
        ("", MissingToken),
        ("Basic dXNlcjpwYXNz", MissingToken),
        ("DPoP a.b.c", MissingToken),
        ("Bearer", MissingToken),
        ("Bearer\ta.b.c", MalformedHeader),
        ("Bearer a b", MalformedHeader),
        ("Bearer \u{e9}", MalformedHeader),
        ("Bearer opaque", MalformedToken),
    ];
    for (value, kind) in cases {
        assert_eq!(send(&layer, with_authorization(value)).denied(), kind, "{value}");
    }
}

#[test]
fn denies_malformed_bearer_despite_verified_claims() {
    let malformed = ["Bearer\ta.b.c", "Bearer a b", "Bearer a.b.c, Bearer d.e.f", "Bearer a.b.c,d"];
    for layer in [strict(), reading(), strict().allow_anonymous()] {
        for value in malformed {
            let mut request = with_authorization(value);
            request.extensions_mut().insert(claims("ar-1"));
            let outcome = send(&layer, request);
            assert_eq!(outcome.denied(), MalformedHeader, "{value}");
            assert_eq!(outcome.status(), 401);
        }
        // Other layers verify other credentials: cookies, certificates, schemes of their own.
        for value in ["Bearer", "bearer   a.b.c", "Basic dXNlcjpwYXNz", "DPoP a.b.c"] {
            let mut request = with_authorization(value);
            request.extensions_mut().insert(claims("ar-1"));
            assert!(send(&layer, request).admitted().is_some(), "{value}");
        }
    }
}

#[test]
fn challenges_empty_bearer_without_error_code() {
    for value in ["Bearer", "bearer", "Bearer   ", "Bearer\t"] {
        let outcome = send(&strict(), with_authorization(value));
        assert_eq!((outcome.status(), outcome.denied()), (401, MissingToken), "{value:?}");
        assert_eq!(outcome.header("www-authenticate"), Some("Bearer"), "{value:?}");
    }
}

#[test]
fn denies_unverified_token() {
    let good = token(r#"{"sid":"ar-1","iat":1795400000,"exp":1795403600}"#);
    assert_eq!(send(&strict(), with_token(&good)).denied(), UnverifiedToken);
    assert_eq!(send(&strict().allow_anonymous(), with_token(&good)).denied(), UnverifiedToken);
}

#[test]
fn reads_unverified_token_only_by_option() {
    let (revocations, _) = fresh();
    let layer = GatewayLayer::new(revocations.reader()).with_insecure_unverified_claims();
    let request = with_authorization(&format!(
        "bEARER {}",
        token(r#"{"sid":"ar-1","iat":1795400000,"exp":1795403600}"#)
    ));
    assert!(send(&layer, request.clone()).admitted().is_some());
    revoke(&revocations, "sid", "ar-1");
    assert_eq!(send(&layer, request).denied(), Revoked);
    let escaped =
        with_token(&token(r#"{"s\u0069d":"ar\u002d1","i\u0061t":1795400000,"exp":1795403600}"#));
    assert_eq!(send(&layer, escaped).denied(), Revoked);
}

#[test]
fn denies_unverified_token_that_cannot_be_read() {
    let cases = [
        ("a.b".to_owned(), MalformedToken),
        ("a.b.c.d".to_owned(), MalformedToken),
        ("e30.=.c2ln".to_owned(), MalformedPayload),
        (token(r#"{"sid":"ar-1","iat":1795400000,"exp":1795403600}junk"#), MalformedJson),
        (token(r#"{"sid":"ar-1""#), MalformedJson),
        (
            token(r#"{"sid":"ar-1","sid":"ar-1","iat":1795400000,"exp":1795403600}"#),
            MalformedClaims,
        ),
        (token(r#"{"sid":"","iat":1795400000,"exp":1795403600}"#), MalformedClaims),
        (token(r#"{"sid":"ar-1","iat":1795400000}"#), MalformedClaims),
        (token("[]"), MalformedClaims),
    ];
    for (token, kind) in cases {
        assert_eq!(send(&reading(), with_token(&token)).denied(), kind, "{token}");
    }
}
