//! What of a request decides how a refusal or a cut looks to its client.

use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Request, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) version: Version,
    /// It sent `TE: trailers`.
    pub(crate) takes_trailers: bool,
    /// It speaks gRPC.
    pub(crate) grpc: bool,
}

impl Caller {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self {
            version: request.version(),
            takes_trailers: takes_trailers(request.headers()),
            grpc: is_grpc(request.headers()),
        }
    }
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(TE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        // Only trailers may bear no weight; who writes one all the same takes them.
        let name = coding.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("trailers")
    })
}

/// `application/grpc`, alone or with a suffix or parameters; not `application/grpc-web`, whose
/// trailers stand in the body.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
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
