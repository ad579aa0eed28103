//! Turns the head of an admitted request into the one that the service gets, and the head of a
//! response into the one that the client gets.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, TE,
    TRANSFER_ENCODING,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, request, response};
use ipnet::IpNet;

use super::error::{ProxyError, X_REQUEST_ID};
use super::upgrade::Upgrade;
use super::{forwarded, hop_by_hop};
use crate::identity;
use crate::server::Connection;

/// The properties of a request that decide how it is forwarded.
#[derive(Clone, Debug)]
pub(super) struct Forwarding {
    pub(super) is_grpc: bool,
    /// `true` if the request goes over HTTP/2.
    pub(super) is_http2: bool,
    pub(super) upgrade: Option<Upgrade>,
}

/// The parts of this proxy that a request needs.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) always_http2: bool,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) upgrades: Vec<String>,
}

impl Rules {
    /// Chooses how to forward a request. gRPC needs the trailers of HTTP/2; an upgrade needs
    /// HTTP/1.1.
    pub(super) fn forwarding<B>(&self, request: &Request<B>) -> Forwarding {
        let upgrade = Upgrade::of(request, &self.upgrades);
        let is_grpc = request.version() == Version::HTTP_2
            && request.method() == Method::POST
            && takes_trailers(request.headers())
            && is_grpc(request.headers());
        let is_http2 = upgrade.is_none() && (self.always_http2 || is_grpc);
        Forwarding { is_grpc, is_http2, upgrade }
    }

    /// Changes the head. `identity` holds the headers of the request's identity; `body_length` is
    /// `None` if the request has a body without a length.
    pub(super) fn prepare(
        &self,
        head: &mut request::Parts,
        forwarding: &Forwarding,
        identity: HeaderMap,
        request_id: &HeaderValue,
        body_length: Option<u64>,
    ) -> Result<(), ProxyError> {
        let connection = head.extensions.remove::<Connection>();
        let headers = &mut head.headers;
        let takes_trailers = takes_trailers(headers);
        hop_by_hop::remove(headers);
        // This proxy answers the expectation itself, when it reads the body.
        headers.remove(EXPECT);
        identity::remove_forged(headers);
        remove_aliases(headers);
        let target = head.uri.authority().and_then(|name| name.as_str().parse().ok());
        if let Some(target) = target.filter(|_| !headers.contains_key(HOST)) {
            headers.insert(HOST, target);
        }
        let trusts =
            |connection: &Connection| forwarded::is_trusted(connection.peer, &self.trusted_proxies);
        if !connection.as_ref().is_some_and(trusts) {
            forwarded::remove(headers);
        }
        let host = headers.get(HOST).cloned();
        if let Some(Connection { peer, is_tls, .. }) = connection {
            forwarded::add(headers, peer, is_tls, host.as_ref());
        }
        headers.insert(X_REQUEST_ID, request_id.clone());
        headers.extend(identity);
        if takes_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let path = head.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let was_http2 = head.version == Version::HTTP_2;
        let authority = if forwarding.is_http2 {
            headers.remove(HOST);
            head.version = Version::HTTP_2;
            host.and_then(|host| Authority::try_from(host.as_bytes()).ok())
        } else {
            head.version = Version::HTTP_11;
            if takes_trailers {
                headers.insert(CONNECTION, HeaderValue::from_static("TE"));
            }
            if let Some(upgrade) = &forwarding.upgrade {
                upgrade.write(headers);
            }
            join_cookies(headers);
            let has_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
            if body_length.is_none() {
                // hyper would drop a body without a length if the method usually has no body.
                headers.remove(CONTENT_LENGTH);
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            } else if body_length == Some(0) && was_http2 && has_body {
                // HTTP/2 needs no length for an empty body. Some services want one in HTTP/1.1.
                headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
            }
            None
        };
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(authority.unwrap_or_else(|| self.authority.clone()))
            .path_and_query(path);
        head.uri = uri.build().map_err(|_| ProxyError::Malformed("the path is not valid"))?;
        Ok(())
    }
}

/// Returns `true` if the client accepts trailers.
fn takes_trailers(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TE).iter().flat_map(hop_by_hop::options);
    codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// Returns `true` for gRPC, and `false` for gRPC-Web, whose trailers are in the body.
fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let (name, rest) = value.split_at_checked(16).unwrap_or_default();
    name.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Removes headers such as `Content_Length`, which some services read like the header with a dash.
fn remove_aliases(headers: &mut HeaderMap) {
    const ALIASED: [&str; 7] = [
        "content-length",
        "content-type",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "x-real-ip",
        "x-request-id",
    ];
    let is_alias = |name: &HeaderName| {
        name.as_str().contains('_') && {
            let name = name.as_str().replace('_', "-");
            ALIASED.contains(&name.as_str()) || name.starts_with("x-forwarded-")
        }
    };
    let aliases: Vec<_> = headers.keys().filter(|name| is_alias(name)).cloned().collect();
    for name in aliases {
        headers.remove(name);
    }
}

/// Joins the lines of `Cookie`: HTTP/2 may split them, HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1 {
        // Valid values joined by ASCII are a valid value.
        if let Ok(cookies) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
            headers.insert(COOKIE, cookies);
        }
    }
}

/// Changes the head of a response that is no switch of protocols.
pub(super) fn prepare_response(head: &mut response::Parts) -> Result<(), ProxyError> {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        // Two lengths, or a coding that this proxy would have to undo.
        if !is_chunked || codings.next().is_some() || head.headers.contains_key(CONTENT_LENGTH) {
            return Err(ProxyError::Broken);
        }
    }
    if head.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(ProxyError::Broken);
    }
    hop_by_hop::remove(&mut head.headers);
    head.version = Version::HTTP_11;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_underscore_aliases_of_special_headers() {
        let mut headers = HeaderMap::new();
        for name in
            ["content_length", "x_forwarded_for", "x_forwarded-host", "x_request_id", "api_key"]
        {
            headers.insert(name, HeaderValue::from_static("1"));
        }
        remove_aliases(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["api_key"]);
    }

    #[test]
    fn joins_cookies_for_http1() {
        let mut headers = HeaderMap::new();
        for value in ["a=1", "b=2; c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(value));
        }
        join_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }
}
