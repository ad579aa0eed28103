//! The request that a check is about.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Returns the method and URI of the original request. `suffix` is the part of the check's path
/// after `/check`.
///
/// Returns `None` if they are missing, incomplete, repeated or unreadable, and if both the headers
/// and the suffix describe a request: one of them can come from a client.
pub(super) fn original(check: &Parts, suffix: &str) -> Option<(Method, Uri)> {
    let method = at_most_one(&check.headers, &X_FORWARDED_METHOD)?;
    let uri = at_most_one(&check.headers, &X_FORWARDED_URI)?;
    match (method, uri, suffix) {
        (Some(method), Some(uri), "") => {
            Some((Method::from_bytes(method.as_bytes()).ok()?, target(uri.as_bytes())?))
        }
        (None, None, suffix) => {
            let query = check.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let uri = target(format!("{suffix}{query}").as_bytes())?;
            Some((check.method.clone(), uri))
        }
        _ => None,
    }
}

/// Returns the only value of a header, or `Some(None)` if there is none. Returns `None` if the
/// header is repeated.
fn at_most_one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Option<&'h HeaderValue>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    values.next().is_none().then_some(first)
}

/// Parses a path with an optional query. A fragment is rejected, because [`Uri`] would drop it.
fn target(text: &[u8]) -> Option<Uri> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    (text.starts_with(b"/") && text.iter().all(is_plain)).then(|| Uri::try_from(text).ok())?
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn read(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut check = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            check = check.header(*name, *value);
        }
        let (check, ()) = check.body(()).unwrap().into_parts();
        let suffix = check.uri.path().strip_prefix("/check").unwrap();
        original(&check, suffix).map(|(method, uri)| format!("{method} {uri}"))
    }

    const METHOD: (&str, &str) = ("x-forwarded-method", "PUT");
    const URI: (&str, &str) = ("x-forwarded-uri", "/a/b%20c?d=/e?f");

    #[test]
    fn reads_headers_or_suffix() {
        assert_eq!(read("GET", "/check", &[METHOD, URI]).unwrap(), "PUT /a/b%20c?d=/e?f");
        assert_eq!(read("GET", "/check?x", &[METHOD, URI]).unwrap(), "PUT /a/b%20c?d=/e?f");
        assert_eq!(read("PATCH", "/check/a//b?c=d", &[]).unwrap(), "PATCH /a//b?c=d");
        assert_eq!(read("GET", "/check/", &[]).unwrap(), "GET /");
    }

    #[test]
    fn rejects_missing_or_incomplete_description() {
        for headers in [&[][..], &[METHOD], &[URI]] {
            assert_eq!(read("GET", "/check", headers), None, "{headers:?}");
        }
        assert_eq!(read("GET", "/check?/a", &[]), None);
    }

    #[test]
    fn rejects_second_description() {
        for headers in [&[METHOD, URI][..], &[METHOD], &[URI]] {
            assert_eq!(read("GET", "/check/a", headers), None, "{headers:?}");
            assert_eq!(read("GET", "/check/", headers), None, "{headers:?}");
        }
        assert_eq!(read("GET", "/check", &[METHOD, METHOD, URI]), None);
        assert_eq!(read("GET", "/check", &[METHOD, URI, URI]), None);
    }

    #[test]
    fn rejects_unreadable_description() {
        for uri in ["", "a", "*", "http://other/a", "/a b", "/a#b", "/a\tb", "?a"] {
            assert_eq!(read("GET", "/check", &[METHOD, (URI.0, uri)]), None, "{uri:?}");
        }
        for method in ["", "GET ", "G T", "GET,POST"] {
            assert_eq!(read("GET", "/check", &[(METHOD.0, method), URI]), None, "{method:?}");
        }
    }
}
