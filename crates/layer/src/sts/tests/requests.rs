//! Which requests the layer reads: by content type, method, path and query.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::{FORM, Forwarded, denied, post, revoked, send};
use crate::RequestDenialKind::{QueryParameters, RepeatedField, Revoked, UnsupportedBody};
use crate::StsLayer;

#[tokio::test]
async fn reads_only_uncompressed_utf8_forms() {
    let with = |name: &str, values: &[&str]| {
        let mut request = post("session_id=ar-1");
        let headers = request.headers_mut();
        headers.remove(name);
        for value in values {
            headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        request
    };
    let layer = StsLayer::new(revoked().reader());
    for good in [
        FORM,
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded;charset=utf-8",
        "application/x-www-form-urlencoded ; charset=\"UTF-8\"",
        "application/x-www-form-urlencoded;",
    ] {
        let request = with("content-type", &[good]);
        assert_eq!(send(&layer, request).await, denied(Revoked, 401), "{good}");
    }
    for bad in [
        &[][..],
        &[""],
        &["application/json"],
        &["multipart/form-data; boundary=x"],
        &["text/plain"],
        &["application/x-www-form-urlencoded; charset=utf-16"],
        &["application/x-www-form-urlencoded; charset=utf-8; charset=utf-7"],
        &["application/x-www-form-urlencoded, application/json"],
        &[FORM, FORM],
    ] {
        let request = with("content-type", bad);
        assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415), "{bad:?}");
    }
    let request = with("content-encoding", &["gzip"]);
    assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415));
    assert_eq!(send(&layer, with("content-encoding", &["identity"])).await, denied(Revoked, 401));
}

/// Returns a request with one content type, or none.
fn request_of_type(path: &str, content_type: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::post(path).body(Full::<Bytes>::from(body)).unwrap();
    if !content_type.is_empty() {
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn passes_other_methods_and_bodies_unchanged() {
    let layer = StsLayer::new(revoked().reader());
    let body = "session_id=ar-1&session_id=ar-1";
    for (method, path) in [("PUT", "/oauth/2/token"), ("GET", "/oauth/2/token"), ("PUT", "/x")] {
        let mut request = request_of_type(path, FORM, body);
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(send(&layer, request).await, Forwarded(body.into()));
    }
    for content_type in ["application/json", "text/plain", "application/grpc+proto; x"] {
        for path in ["/oauth/2/introspect", "/oauth/2/token/other", "/api?a=b"] {
            assert_eq!(
                send(&layer, request_of_type(path, content_type, body)).await,
                Forwarded(body.into())
            );
        }
    }
    assert_eq!(
        send(&layer, request_of_type("/logout", "", "")).await,
        Forwarded("".into()),
        "no body at all"
    );
}

#[tokio::test]
async fn reads_forms_at_every_path() {
    let layer = StsLayer::new(revoked().reader());
    for path in ["/token", "/exchange", "/", "/sts/oauth/2/token", "/oauth/2/token/other"] {
        let revoked = request_of_type(path, FORM, "session_id=ar-1");
        assert_eq!(send(&layer, revoked).await, denied(Revoked, 401), "{path}");
        let twice = request_of_type(path, FORM, "session_id=ar-2&session_id=ar-1");
        assert_eq!(send(&layer, twice).await, denied(RepeatedField, 400), "{path}");
        let other = request_of_type(path, FORM, "session_id=ar-2&token=x&token=y");
        assert!(matches!(send(&layer, other).await, Forwarded(_)), "{path}");
    }
}

#[tokio::test]
async fn denies_bodies_that_may_be_forms_at_every_path() {
    let layer = StsLayer::new(revoked().reader());
    let mut several = request_of_type("/exchange", FORM, "session_id=ar-1");
    several.headers_mut().append("content-type", "application/json".parse().unwrap());
    for request in [
        several,
        request_of_type("/exchange", "", "session_id=ar-1"),
        request_of_type("/exchange", "multipart/form-data; boundary=x", "--x"),
        request_of_type(
            "/exchange",
            "application/x-www-form-urlencoded, application/json",
            "session_id=ar-1",
        ),
        request_of_type(
            "/exchange",
            "application/x-www-form-urlencoded; charset=utf-7",
            "session_id=ar-1",
        ),
        request_of_type("/exchange", "json", "{}"),
        request_of_type("/exchange", "/", "{}"),
    ] {
        let shown = format!("{:?}", request.headers());
        assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415), "{shown}");
    }
}

#[tokio::test]
async fn accepts_only_forms_at_token_endpoint_in_any_nest() {
    let layer = StsLayer::new(revoked().reader());
    for path in ["/oauth/2/token", "/2/token", "/token", "/", "/sts/oauth/2/token", "/%74oken/"] {
        let request = request_of_type(path, "application/json", "{}");
        assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415), "{path}");
    }
    let layer = layer.with_path("/exchange");
    let request = request_of_type("/sts/exchange", "application/json", "{}");
    assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415));
    let request = request_of_type("/oauth/2/token", "application/json", "{}");
    assert_eq!(send(&layer, request).await, Forwarded("{}".into()));
}

#[tokio::test]
async fn no_spelling_of_the_path_goes_around_the_layer() {
    let layer = StsLayer::new(revoked().reader());
    for path in [
        "/oauth/2/token?",
        "/oauth/2/token/",
        "//oauth/2//token",
        "/oauth/2/%74oken",
        "/OAuth/2/Token",
        "/./oauth/2/token",
    ] {
        let mut request = post("session_id=ar-1");
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(send(&layer, request).await, denied(Revoked, 401), "{path}");
    }
}

#[tokio::test]
async fn denies_query_in_addition_to_body() {
    let layer = StsLayer::new(revoked().reader());
    for path in ["/oauth/2/token?session_id=ar-1", "/oauth/2/token?x", "/oauth/2/token/?a=b"] {
        let mut request = post("session_id=ar-2");
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(send(&layer, request).await, denied(QueryParameters, 400), "{path}");
    }
}
