//! Checks that a request has exactly one reading, before anything else looks at it.
//!
//! hyper rejects most ambiguous requests itself, with a bare 400. These checks refuse the rest, so
//! that this proxy, a proxy in front and the service agree on every request.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    COOKIE, EXPECT, HOST, TRANSFER_ENCODING,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, request};

use super::error::ProxyError::{self, Malformed};
use super::hop_by_hop::options;

/// Headers that are never about one connection (RFC 9110, section 7.6.1). `Connection` must not
/// name them: a request would be checked with them, and forwarded without.
const END_TO_END: [HeaderName; 7] =
    [AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST];

/// Checks the head of a request.
pub(super) fn check(head: &request::Parts) -> Result<(), ProxyError> {
    let request::Parts { method, uri, version, headers, .. } = head;
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(ProxyError::Method);
    }
    check_target(method, uri)?;
    check_host(uri, *version, headers)?;
    check_length(headers)?;
    check_connection(headers)?;
    let mut expects = headers.get_all(EXPECT).iter();
    if !expects.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(ProxyError::Expectation);
    }
    Ok(())
}

fn check_target(method: &Method, uri: &Uri) -> Result<(), ProxyError> {
    let is_known = matches!(uri.scheme_str(), None | Some("http" | "https"));
    let is_absolute = uri.scheme().is_some() || uri.authority().is_none();
    let path = uri.path();
    if !is_known || !is_absolute || (path == "*" && *method != Method::OPTIONS) {
        return Err(Malformed("the request target is not valid here"));
    }
    if !path.starts_with('/') && path != "*" {
        return Err(Malformed("the path must begin with a slash"));
    }
    Ok(())
}

fn check_host(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), ProxyError> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Malformed("more than one Host"));
    }
    let host = host.map(parse_authority).transpose()?;
    let target = uri.authority();
    if target.is_some_and(|target| target.as_str().contains('@')) {
        return Err(Malformed("the request target holds a user or a password"));
    }
    match (target, host) {
        (Some(target), Some(host)) if *target != host => {
            Err(Malformed("the request target and Host name different hosts"))
        }
        (None, None) if version >= Version::HTTP_11 => Err(Malformed("missing Host")),
        _ => Ok(()),
    }
}

fn parse_authority(host: &HeaderValue) -> Result<Authority, ProxyError> {
    let parsed = Authority::try_from(host.as_bytes()).ok();
    parsed.filter(|host| !host.as_str().contains('@')).ok_or(Malformed("Host is not valid"))
}

/// hyper reads every form of chunked and the last coding only, and drops a length beside it.
fn check_length(headers: &HeaderMap) -> Result<(), ProxyError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
            return Err(Malformed("Transfer-Encoding must be chunked, once"));
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(Malformed("both Transfer-Encoding and Content-Length"));
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_number = |length: &HeaderValue| {
        !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit)
    };
    if !lengths.next().is_none_or(is_number) || lengths.next().is_some() {
        return Err(Malformed("Content-Length must be a number, once"));
    }
    Ok(())
}

fn check_connection(headers: &HeaderMap) -> Result<(), ProxyError> {
    for value in headers.get_all(CONNECTION) {
        for option in options(value) {
            let Ok(name) = HeaderName::try_from(option) else {
                return Err(Malformed("Connection is not valid"));
            };
            if END_TO_END.contains(&name) {
                return Err(Malformed("Connection names a header that it must not"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check_of(build: request::Builder) -> Result<(), ProxyError> {
        check(&build.body(()).unwrap().into_parts().0)
    }

    fn request(headers: &[(&str, &str)]) -> request::Builder {
        let request = Request::builder().uri("/a");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    #[test]
    fn accepts_each_form_of_target() {
        for (method, uri) in
            [("GET", "/a?b"), ("GET", "http://a/b"), ("OPTIONS", "*"), ("GET", "//b/c")]
        {
            let request = request(&[("host", "a")]).method(method).uri(uri);
            assert_eq!(check_of(request), Ok(()), "{method} {uri}");
        }
    }

    #[test]
    fn refuses_target_without_one_reading() {
        for (method, uri) in [
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "a:80"),
            ("GET", "ftp://a/b"),
            ("GET", "http://b/a"),
            ("GET", "http://user@a/b"),
        ] {
            let request = request(&[("host", "a")]).method(method).uri(uri);
            assert!(matches!(check_of(request), Err(Malformed(_))), "{method} {uri}");
        }
        let connect = request(&[("host", "a")]).method("CONNECT").uri("a:80");
        assert_eq!(check_of(connect), Err(ProxyError::Method));
        assert_eq!(check_of(request(&[("host", "a")]).method("TRACE")), Err(ProxyError::Method));
    }

    #[test]
    fn refuses_headers_without_one_reading() {
        for headers in [
            &[][..],
            &[("host", "a"), ("host", "a")],
            &[("host", "")],
            &[("host", "a/b")],
            &[("host", "user@a")],
            &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
            &[("host", "a"), ("transfer-encoding", "identity"), ("transfer-encoding", "chunked")],
            &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("host", "a"), ("transfer-encoding", "chunked"), ("content-length", "1")],
            &[("host", "a"), ("content-length", "1"), ("content-length", "1")],
            &[("host", "a"), ("content-length", "+1")],
            &[("host", "a"), ("content-length", "")],
            &[("host", "a"), ("connection", "Authorization")],
            &[("host", "a"), ("connection", "close"), ("connection", "te, host")],
            &[("host", "a"), ("connection", "a b")],
            &[("host", "a"), ("connection", "\u{e9}")],
        ] {
            assert!(matches!(check_of(request(headers)), Err(Malformed(_))), "{headers:?}");
        }
        let expects = request(&[("host", "a"), ("expect", "a miracle")]);
        assert_eq!(check_of(expects), Err(ProxyError::Expectation));
    }

    #[test]
    fn accepts_usual_headers() {
        for headers in [
            &[("host", "a:80"), ("connection", "keep-alive, , te"), ("te", "trailers")][..],
            &[("host", "[::1]:80"), ("transfer-encoding", "Chunked"), ("expect", "100-Continue")],
            &[("host", "a"), ("content-length", "007"), ("connection", "X-Caracal-Subject")],
        ] {
            assert_eq!(check_of(request(headers)), Ok(()), "{headers:?}");
        }
        let old = request(&[]).version(Version::HTTP_10);
        assert_eq!(check_of(old), Ok(()));
    }
}
