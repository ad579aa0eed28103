//! `Forwarded` and `X-Forwarded-…`: the way of a request up to here.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Returns `true` if the peer is one of these proxies.
pub(super) fn is_trusted(peer: SocketAddr, proxies: &[IpNet]) -> bool {
    let address = peer.ip().to_canonical();
    proxies.iter().any(|network| network.contains(&address))
}

/// Removes what only a trusted proxy may say, in every spelling.
pub(super) fn remove(headers: &mut HeaderMap) {
    let is_forwarded = |name: &HeaderName| {
        let name = name.as_str().replace('_', "-");
        name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-")
    };
    let names: Vec<_> = headers.keys().filter(|name| is_forwarded(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Adds this hop: its client, scheme and host. Values of a trusted proxy are continued.
pub(super) fn add(
    headers: &mut HeaderMap,
    peer: SocketAddr,
    is_tls: bool,
    host: Option<&HeaderValue>,
) {
    let address = peer.ip().to_canonical();
    let scheme = if is_tls { "https" } else { "http" };
    append(headers, FOR, &address.to_string());
    headers.entry(PROTO).or_insert(HeaderValue::from_static(scheme));
    if let Some(host) = host {
        headers.entry(HOST).or_insert_with(|| host.clone());
    }
    if headers.contains_key(FORWARDED) {
        let node = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        append(headers, FORWARDED, &format!("for={node};proto={scheme}"));
    }
}

/// Joins all lines of a header and this element into one line.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut line = Vec::new();
    for value in headers.get_all(&name) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(element.as_bytes());
    // Parts of valid values and ASCII are always a valid value.
    if let Ok(line) = HeaderValue::from_bytes(&line) {
        headers.insert(name, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn trusts_only_listed_networks() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, trusted) in [
            ("10.1.2.3:1", true),
            ("[::ffff:10.1.2.3]:1", true),
            ("[fd00::1]:1", true),
            ("11.1.2.3:1", false),
            ("[fe80::1]:1", false),
        ] {
            assert_eq!(is_trusted(peer.parse().unwrap(), &proxies), trusted, "{peer}");
        }
    }

    #[test]
    fn removes_claims_about_the_way_in_every_spelling() {
        let mut headers = map(&[
            ("forwarded", "for=1.1.1.1"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x-forwarded-prefix", "/admin"),
            ("x-real-ip", "1.1.1.1"),
            ("x-forwarded", "kept"),
        ]);
        remove(&mut headers);
        assert_eq!(headers, map(&[("x-forwarded", "kept")]));
    }

    #[test]
    fn adds_this_hop_after_the_hops_before() {
        let host = HeaderValue::from_static("api.example");
        let peer = "[2001:db8::1]:443".parse().unwrap();
        let mut headers = HeaderMap::new();
        add(&mut headers, peer, true, Some(&host));
        let expected = map(&[
            ("x-forwarded-for", "2001:db8::1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example"),
        ]);
        assert_eq!(headers, expected);

        let mut headers = map(&[
            ("forwarded", "for=1.1.1.1"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "front.example"),
        ]);
        add(&mut headers, peer, true, Some(&host));
        let expected = map(&[
            ("forwarded", "for=1.1.1.1, for=\"[2001:db8::1]\";proto=https"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 2001:db8::1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "front.example"),
        ]);
        assert_eq!(headers, expected);
    }
}
