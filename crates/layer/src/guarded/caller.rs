//! What of a request decides how a refusal or a cut looks to its client.

use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Request, Version};

use crate::request_id::X_REQUEST_ID;

#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) version: Version,
    /// It sent `TE: trailers`.
    pub(crate) takes_trailers: bool,
    /// It speaks gRPC.
    pub(crate) grpc: bool,
    /// What it sent as the request's id.
    pub(crate) request_id: Option<HeaderValue>,
}

impl Caller {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let version = request.version();
        let mut caller = Self { version, takes_trailers: false, grpc: false, request_id: None };
        let mut content_type = None;
        // One walk over the few headers that there are costs less than to look three up.
        for (name, value) in request.headers() {
            if name == TE {
                caller.takes_trailers |= takes_trailers(value);
            } else if name == CONTENT_TYPE {
                content_type = content_type.or(Some(value));
            } else if name == X_REQUEST_ID && caller.request_id.is_none() {
                caller.request_id = Some(value.clone());
            }
        }
        caller.grpc = content_type.is_some_and(is_grpc_type);
        caller
    }
}

fn takes_trailers(line: &HeaderValue) -> bool {
    let codings = line.to_str().unwrap_or_default().split(',');
    codings.map(|coding| coding.split(';').next().unwrap_or_default()).any(|name| {
        // Only trailers may bear no weight; who writes one all the same takes them.
        name.trim().eq_ignore_ascii_case("trailers")
    })
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(is_grpc_type)
}

/// `application/grpc`, alone or with a suffix or parameters; not `application/grpc-web`, whose
/// trailers stand in the body.
fn is_grpc_type(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    let (name, rest) = value.split_at_checked(16).unwrap_or_default();
    name.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, values: &[&str]) -> Request<()> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn knows_who_takes_trailers() {
        for values in [&["trailers"][..], &["gzip, Trailers"], &["gzip", " trailers;q=0.5 "]] {
            assert!(Caller::of(&request("te", values)).takes_trailers, "{values:?}");
        }
        for values in [&[][..], &["gzip"], &["no-trailers"], &["trailers-not"]] {
            assert!(!Caller::of(&request("te", values)).takes_trailers, "{values:?}");
        }
    }

    #[test]
    fn knows_who_speaks_grpc() {
        let kinds = ["application/grpc", "application/grpc+proto", "Application/GRPC;x=1"];
        for kind in kinds {
            assert!(Caller::of(&request("content-type", &[kind])).grpc, "{kind}");
        }
        let kinds = ["application/grpc-web", "application/grpc-web+proto", "application/json", ""];
        for kind in kinds {
            assert!(!Caller::of(&request("content-type", &[kind])).grpc, "{kind}");
        }
        assert!(!Caller::of(&Request::new(())).grpc);
    }
}
