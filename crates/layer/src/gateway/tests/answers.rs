//! The answers to denied requests, byte for byte.

use RequestDenialKind::{
    AmbiguousToken, DelegationStale, HistoryIncomplete, MalformedClaims, MalformedHeader,
    MalformedJson, MalformedPayload, MalformedToken, MissingToken, OversizedToken, Revoked,
    Suspended, Unknown, UnsupportedVersion, UnverifiedToken,
};

use super::*;
use crate::answer::{Denial, Profile, RequestId};

fn answer(kind: RequestDenialKind) -> Response<Bytes> {
    let request = Request::builder().header("x-request-id", "req-1").body(()).unwrap();
    let request_id = RequestId::of(request.headers());
    let (rejection, profile) = (kind.into(), Profile::Gateway);
    Denial { rejection, request_id, profile, grpc: false, challenge: None }.respond()
}

#[test]
fn gateway_has_an_answer_for_each_reason() {
    let invalid = "invalid_token";
    let table = [
        (MissingToken, 401, invalid, "missing bearer token", None),
        (AmbiguousToken, 401, invalid, "more than one authorization header", None),
        (OversizedToken, 401, invalid, "token exceeds 4096 bytes", None),
        (MalformedHeader, 401, invalid, "malformed authorization header", None),
        (MalformedToken, 401, invalid, "token is not three segments", None),
        (MalformedPayload, 401, invalid, "token payload is not base64url", None),
        (MalformedJson, 401, invalid, "token payload is not JSON", None),
        (MalformedClaims, 401, invalid, "claims are missing, repeated or of the wrong type", None),
        (UnverifiedToken, 401, invalid, "token was not verified", None),
        (Revoked, 401, invalid, "session revoked", None),
        (Suspended, 401, invalid, "session revoked", None),
        (DelegationStale, 401, invalid, "delegation stale", None),
        (HistoryIncomplete, 401, invalid, "refresh the mandate", Some("5")),
        (
            UnsupportedVersion,
            505,
            "http_version_not_supported",
            "the response has no length, so HTTP/1.1 is needed (nginx: proxy_http_version 1.1)",
            None,
        ),
        (Unknown, 503, "sts_unavailable", "revocation state unavailable", Some("1")),
    ];
    for (kind, status, error, description, retry_after) in table {
        let response = answer(kind);
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status().as_u16(), status, "{kind:?}");
        let body = format!(
            r#"{{"error":"{error}","error_description":"{description}","requestId":"req-1"}}"#
        );
        assert_eq!(response.body(), &body);
        assert_eq!(header("content-type"), Some("application/json"));
        assert_eq!(header("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(header("cache-control"), Some("no-store"));
        assert_eq!(header("x-request-id"), Some("req-1"));
        assert_eq!(header("retry-after"), retry_after, "{kind:?}");
        let challenge = match kind {
            MissingToken => Some("Bearer".to_owned()),
            Unknown | UnsupportedVersion => None,
            _ => {
                Some(format!(r#"Bearer error="invalid_token", error_description="{description}""#))
            }
        };
        assert_eq!(header("www-authenticate"), challenge.as_deref(), "{kind:?}");
        assert_eq!(response.extensions().get::<RequestDenial>().unwrap().kind(), kind);
    }
}

#[test]
fn denial_displays_label_and_description() {
    let rejection: Box<dyn std::error::Error> = Box::new(RequestDenial::from(Revoked));
    assert_eq!(rejection.to_string(), "revoked: session revoked");
}

#[test]
fn service_returns_the_answer_to_the_client() {
    let (revocations, _) = fresh();
    revoke(&revocations, "sid", "ar-1");
    let mut request = with_claims(claims("ar-1"));
    request.headers_mut().insert("x-request-id", r#"quo"te"#.parse().unwrap());
    let outcome = send(&GatewayLayer::new(revocations.reader()), request);
    assert_eq!(outcome.status(), 401);
    assert_eq!(outcome.header("x-request-id"), Some(r#"quo"te"#));
    let body =
        r#"{"error":"invalid_token","error_description":"session revoked","requestId":"quo\"te"}"#;
    assert_eq!(outcome.response.body(), body);
    assert_eq!(outcome.header("content-length"), Some(body.len().to_string().as_str()));
}

#[test]
fn header_and_body_share_new_request_id() {
    let outcome = send(&GatewayLayer::new(fresh().0.reader()), request());
    let id = outcome.header("x-request-id").unwrap();
    let body: serde_json::Value = serde_json::from_slice(outcome.response.body()).unwrap();
    assert_eq!(body["requestId"], id);
    assert_eq!(id.len(), 36);
}

#[test]
fn passes_on_response_of_service_unchanged() {
    let outcome = send(&GatewayLayer::new(fresh().0.reader()), with_claims(claims("ar-1")));
    outcome.passed();
    assert!(outcome.response.headers().is_empty());
    assert!(outcome.response.extensions().is_empty());
}
