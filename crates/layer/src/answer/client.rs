//! The capabilities of a client, which decide the form of a denial or a cut.

use http::header::{CONTENT_TYPE, FORWARDED, TE, VIA};
use http::{HeaderMap, HeaderValue, Method, Request, Version};

use super::request_id::X_REQUEST_ID;

/// The properties of a request that decide the form of its answer.
#[derive(Clone, Debug)]
pub(crate) struct ClientCapabilities {
    /// The version of HTTP.
    pub(crate) version: Version,
    /// `true` if the request is a `HEAD`.
    pub(crate) head_only: bool,
    /// `true` if the client sent `TE: trailers`, in a form for which hyper sends a trailer.
    pub(crate) takes_trailers: bool,
    /// `true` if the request is a gRPC call.
    pub(crate) grpc: bool,
    /// The request's id, as the client sent it.
    pub(crate) request_id: Option<HeaderValue>,
}

impl ClientCapabilities {
    /// Reads a request. It is a gRPC call if:
    ///
    /// 1. its version is HTTP/2, the only one that has gRPC;
    /// 2. the service has only gRPC methods (`grpc_only`), or the request is a `POST` with
    ///    `te: trailers` and a gRPC content type.
    ///
    /// A gRPC call is answered with status 200, which a proxy that asks for a decision treats as an
    /// approval. One header that a client sets must therefore not be enough.
    pub(crate) fn of<B>(request: &Request<B>, grpc_only: bool) -> Self {
        let (version, method) = (request.version(), request.method());
        let mut takes_trailers = false;
        let (mut grpc_type, mut other_type) = (false, false);
        let mut request_id = None;
        // One loop over the few headers costs less than three look-ups.
        for (name, value) in request.headers() {
            if name == TE {
                takes_trailers |= has_trailers(value);
            } else if name == CONTENT_TYPE {
                let is_grpc = is_grpc_type(value);
                grpc_type |= is_grpc;
                other_type |= !is_grpc;
            } else if name == X_REQUEST_ID && request_id.is_none() {
                request_id = Some(value.clone());
            }
        }
        let is_call = method == Method::POST && takes_trailers && grpc_type && !other_type;
        Self {
            version,
            head_only: method == Method::HEAD,
            takes_trailers,
            grpc: version == Version::HTTP_2 && (grpc_only || is_call),
            request_id,
        }
    }
}

/// Returns `true` if hyper sends a trailer for this line of `TE`: an ASCII line with the bare word
/// `trailers`. The word with a weight does not count, because hyper would then drop the trailer and
/// end the response like a complete one.
pub(crate) fn has_trailers(line: &HeaderValue) -> bool {
    let codings = line.to_str().unwrap_or_default().split(',');
    codings.map(str::trim).any(|coding| coding.eq_ignore_ascii_case("trailers"))
}

/// Returns `true` if a header shows a proxy. A proxy may pass on the client's `TE`, but drop the
/// trailer.
pub(crate) fn came_through_proxy(headers: &HeaderMap) -> bool {
    headers.contains_key(VIA)
        || headers.contains_key(FORWARDED)
        || headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"))
}

/// Returns `true` if the content type is gRPC's.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(is_grpc_type)
}

/// Returns `true` for `application/grpc`, alone or with a suffix or parameters, and `false` for
/// `application/grpc-web`, whose trailers are in the body.
fn is_grpc_type(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    let (name, rest) = value.split_at_checked(16).unwrap_or_default();
    name.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, values: &[&[u8]]) -> Request<()> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(name, *value);
        }
        request.body(()).unwrap()
    }

    fn takes_trailers(values: &[&[u8]]) -> bool {
        ClientCapabilities::of(&request("te", values), false).takes_trailers
    }

    #[test]
    fn accepts_te_trailers_in_the_form_that_hyper_accepts() {
        let forms: [&[&[u8]]; 5] = [
            &[b"trailers"],
            &[b"gzip, Trailers"],
            &[b"gzip", b"\ttrailers "],
            &[b"gzip;q=0.5,,trailers,"],
            &[b"\xff", b"trailers"],
        ];
        for values in forms {
            assert!(takes_trailers(values), "{values:?}");
        }
        let others: [&[&[u8]]; 8] = [
            &[],
            &[b""],
            &[b"gzip"],
            &[b"no-trailers"],
            &[b"trailers;q=0.5"],
            &[b"trailers ; q=1"],
            &[b"\"trailers\""],
            &[b"trailers, \xff"],
        ];
        for values in others {
            assert!(!takes_trailers(values), "{values:?}");
        }
    }

    /// Returns `true` if a gRPC call, after `change`, still counts as one.
    #[test]
    fn proxy_is_recognized_by_the_headers_that_it_adds() {
        for (name, is_proxied) in [
            ("via", true),
            ("forwarded", true),
            ("x-forwarded-for", true),
            ("x-forwarded-anything", true),
            ("x-forwarded", false),
            ("x-real-ip", false),
        ] {
            let request = request(name, &[b"a"]);
            assert_eq!(came_through_proxy(request.headers()), is_proxied, "{name}");
        }
        assert!(!came_through_proxy(&HeaderMap::new()));
    }

    #[test]
    fn keeps_the_first_request_id_and_notes_head_requests() {
        let mut sent = request("x-request-id", &[b"first", b"second"]);
        let client = ClientCapabilities::of(&sent, false);
        assert_eq!(client.request_id.unwrap(), "first");
        assert!(!client.head_only);
        *sent.method_mut() = Method::HEAD;
        assert!(ClientCapabilities::of(&sent, false).head_only);
        assert!(ClientCapabilities::of(&request("accept", &[b"a"]), false).request_id.is_none());
    }

    fn is_call(grpc_only: bool, change: impl FnOnce(&mut Request<()>)) -> bool {
        let mut request = request("content-type", &[b"application/grpc"]);
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        change(&mut request);
        ClientCapabilities::of(&request, grpc_only).grpc
    }

    fn with_type(kind: &'static str) -> impl FnOnce(&mut Request<()>) {
        move |request| {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
    }

    #[test]
    fn recognizes_grpc_call_by_its_content_type() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/GRPC;x=1"] {
            assert!(is_call(false, with_type(kind)), "{kind}");
        }
        let others = ["application/grpc-web", "application/grpc-web+proto", "application/json", ""];
        for kind in others {
            assert!(!is_call(false, with_type(kind)), "{kind}");
            assert!(is_call(true, with_type(kind)), "{kind}");
        }
        let twice = |request: &mut Request<()>| {
            request.headers_mut().append(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        };
        assert!(!is_call(false, twice));
    }

    #[test]
    fn only_an_http2_post_with_trailers_is_a_grpc_call() {
        let version = |version| move |request: &mut Request<()>| *request.version_mut() = version;
        for other in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_3] {
            assert!(!is_call(false, version(other)), "{other:?}");
            assert!(!is_call(true, version(other)), "{other:?}");
        }
        let method = |method| move |request: &mut Request<()>| *request.method_mut() = method;
        for other in [Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
            assert!(!is_call(false, method(other.clone())), "{other}");
            assert!(is_call(true, method(other)));
        }
        let bare = |request: &mut Request<()>| {
            request.headers_mut().remove(TE);
        };
        assert!(!is_call(false, bare));
        assert!(is_call(true, bare));
    }
}
