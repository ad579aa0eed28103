//! Requests that ask for another protocol on their connection.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Version};

use super::hop_by_hop::options;

/// A protocol that the client asked for, and may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upgrade {
    /// The name in lower case.
    protocol: String,
}

impl Upgrade {
    /// Returns the protocol that a request asks for. A request for any other one is forwarded
    /// without `Upgrade`, and the service answers it in HTTP.
    pub(super) fn of<B>(request: &Request<B>, allowed: &[String]) -> Option<Self> {
        if request.version() != Version::HTTP_11 || request.method() != Method::GET {
            return None;
        }
        let protocol = named(request.headers())?;
        allowed.contains(&protocol).then_some(Self { protocol })
    }

    pub(super) fn is_websocket(&self) -> bool {
        self.protocol == "websocket"
    }

    /// Returns `true` if the response switches to this protocol.
    pub(super) fn is_granted(&self, headers: &HeaderMap) -> bool {
        named(headers).as_ref() == Some(&self.protocol)
    }

    /// Adds the headers of this hop.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        // The name was a header's value before.
        if let Ok(protocol) = HeaderValue::from_str(&self.protocol) {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, protocol);
        }
    }
}

/// Returns the one protocol that these headers name.
fn named(headers: &HeaderMap) -> Option<String> {
    let is_upgrade = |option: &[u8]| option.eq_ignore_ascii_case(b"upgrade");
    if !headers.get_all(CONNECTION).iter().flat_map(options).any(is_upgrade) {
        return None;
    }
    let mut values = headers.get_all(UPGRADE).iter();
    let protocol = values.next()?.to_str().ok()?.to_ascii_lowercase();
    values.next().is_none().then_some(protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_allowed_protocol_is_an_upgrade() {
        let allowed = ["websocket".to_owned()];
        for (method, version, connection, upgrade, expected) in [
            ("GET", Version::HTTP_11, "keep-alive, Upgrade", &["WebSocket"][..], true),
            ("GET", Version::HTTP_11, "keep-alive", &["websocket"], false),
            ("GET", Version::HTTP_10, "upgrade", &["websocket"], false),
            ("POST", Version::HTTP_11, "upgrade", &["websocket"], false),
            ("GET", Version::HTTP_11, "upgrade", &["h2c"], false),
            ("GET", Version::HTTP_11, "upgrade", &["websocket, h2c"], false),
            ("GET", Version::HTTP_11, "upgrade", &["websocket", "h2c"], false),
            ("GET", Version::HTTP_11, "upgrade", &[], false),
        ] {
            let mut request =
                Request::builder().method(method).version(version).header(CONNECTION, connection);
            for value in upgrade {
                request = request.header(UPGRADE, *value);
            }
            let found = Upgrade::of(&request.body(()).unwrap(), &allowed);
            assert_eq!(found.is_some(), expected, "{method} {connection} {upgrade:?}");
        }
    }
}
