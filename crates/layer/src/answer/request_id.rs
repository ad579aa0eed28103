//! The request id, which connects an answer with its log event.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::limits::MAX_REQUEST_ID;

/// The header that carries the request id.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: the client's own if it is visible ASCII and not too long, else a new UUID
/// (version 7).
#[derive(Clone, Debug)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// Reads the id from a request's headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::sent(headers.get(X_REQUEST_ID))
    }

    /// Reads the id from the value of the header.
    pub(crate) fn sent(value: Option<&HeaderValue>) -> Self {
        let sent = value.and_then(readable);
        Self(sent.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned))
    }

    /// Returns the id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id as a header's value.
    pub(crate) fn to_header(&self) -> HeaderValue {
        // Visible ASCII is always a header value.
        HeaderValue::try_from(self.as_str()).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Returns the id under which a request is answered and logged: the client's own `X-Request-Id` if
/// that is 1 to 128 bytes of visible ASCII, else a new UUID (version 7).
#[must_use]
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    RequestId::of(headers).to_header()
}

fn readable(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    let fits =
        (1..=MAX_REQUEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    value.to_str().ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(sent: Option<&[u8]>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(sent).unwrap());
        }
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn keeps_short_client_id_of_visible_ascii() {
        for sent in ["a", "req-1!\"~", &"x".repeat(128)] {
            assert_eq!(id_for(Some(sent.as_bytes())), sent);
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, sent.parse().unwrap())]);
            assert_eq!(request_id(&headers), sent);
        }
    }

    #[test]
    fn creates_new_id_for_any_other() {
        let long = [b'x'; 129];
        let others: [&[u8]; 6] = [b"", &long, b"a b", b"a\tb", b"caf\xc3\xa9", b"\xff"];
        for sent in others.map(Some).into_iter().chain([None]) {
            let id: Uuid = id_for(sent).parse().unwrap();
            assert_eq!(id.get_version_num(), 7);
        }
    }
}
