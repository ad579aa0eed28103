//! The request that Envoy describes, as a question.

use caracal_revocation::gateway::RequestDenialKind;
use envoy_types::pb::envoy::config::core::v3::HeaderValue as EnvoyHeader;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::decider::{self, Question};
use crate::identity;

/// A request that Envoy describes.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) question: Question,
    /// The reason to deny the request before its token is read.
    pub(super) problem: Option<RequestDenialKind>,
    /// The headers that only this program may set, as the client spelled them.
    pub(super) forged: Vec<String>,
}

impl Described {
    /// Creates the question. A description that cannot be read completely is a problem: without it,
    /// another request than the one that Envoy forwards would be decided.
    pub(super) fn new<'a>(
        method: &[u8],
        path: &[u8],
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let mut problem = None;
        let method = Method::from_bytes(method).unwrap_or_else(|_| {
            problem = Some(RequestDenialKind::NoRoute);
            Method::default()
        });
        let uri = parse_path(path).unwrap_or_else(|| {
            problem = Some(RequestDenialKind::AmbiguousPath);
            Uri::default()
        });
        let (mut described, mut forged) = (HeaderMap::new(), Vec::new());
        for (name, value) in headers {
            if name.eq_ignore_ascii_case(AUTHORIZATION.as_str()) {
                match HeaderValue::from_bytes(value) {
                    Ok(value) => drop(described.append(AUTHORIZATION, value)),
                    Err(_) => problem = Some(RequestDenialKind::MalformedHeader),
                }
            } else if name.eq_ignore_ascii_case("x-request-id") {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    described.append("x-request-id", value);
                }
            } else if identity::is_reserved(name) {
                forged.push(name.to_owned());
            }
        }
        let question = decider::question(method, uri, &described);
        Self { question, problem, forged }
    }
}

/// Returns the name and value of a header of Envoy.
pub(super) fn pair(header: &EnvoyHeader) -> (&str, &[u8]) {
    let EnvoyHeader { key, value, raw_value } = header;
    (key, if raw_value.is_empty() { value.as_bytes() } else { raw_value })
}

/// Accepts a path in origin form, and the `*` of `OPTIONS`. A fragment is never part of a request:
/// the service behind could cut it off or keep it.
fn parse_path(path: &[u8]) -> Option<Uri> {
    let is_plain = (path.starts_with(b"/") || path == b"*") && !path.contains(&b'#');
    let path = PathAndQuery::try_from(path).ok().filter(|_| is_plain)?;
    Uri::builder().path_and_query(path).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(method: &str, path: &str, headers: &[(&str, &[u8])]) -> Described {
        Described::new(method.as_bytes(), path.as_bytes(), headers.iter().copied())
    }

    #[test]
    fn keeps_method_path_and_every_authorization() {
        let headers: [(&str, &[u8]); 5] = [
            ("authorization", b"Bearer a"),
            ("Authorization", b"Bearer b"),
            ("x-request-id", b"id-1"),
            ("cookie", b"secret"),
            ("te", b"trailers"),
        ];
        let described = describe("POST", "/a%20b/c?d=e", &headers);
        assert_eq!(described.problem, None);
        let question = described.question;
        assert_eq!(question.method(), Method::POST);
        assert_eq!(question.uri(), "/a%20b/c?d=e");
        assert_eq!(question.headers().get_all(AUTHORIZATION).iter().count(), 2);
        assert_eq!(question.headers()["x-request-id"], "id-1");
        assert_eq!(question.headers().len(), 3);
    }

    #[test]
    fn names_forged_headers_as_spelled() {
        let headers: [(&str, &[u8]); 3] =
            [("x-caracal-subject", b"root"), ("X_Caracal_Zone", b"z"), ("x-caracal", b"")];
        assert_eq!(describe("GET", "/", &headers).forged, ["x-caracal-subject", "X_Caracal_Zone"]);
    }

    #[test]
    fn reports_description_that_cannot_be_read() {
        for (method, path, kind) in [
            ("", "/", RequestDenialKind::NoRoute),
            ("G T", "/", RequestDenialKind::NoRoute),
            ("GET", "", RequestDenialKind::AmbiguousPath),
            ("GET", "a", RequestDenialKind::AmbiguousPath),
            ("GET", "http://a/b", RequestDenialKind::AmbiguousPath),
            ("GET", "/a#b", RequestDenialKind::AmbiguousPath),
            ("GET", "/a b", RequestDenialKind::AmbiguousPath),
        ] {
            assert_eq!(describe(method, path, &[]).problem, Some(kind), "{method} {path}");
        }
        let problem = describe("GET", "/", &[("authorization", b"Bearer a\n")]).problem;
        assert_eq!(problem, Some(RequestDenialKind::MalformedHeader));
        assert_eq!(describe("OPTIONS", "*", &[]).problem, None);
    }
}
