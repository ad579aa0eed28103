//! The headers and the body of a denial, as the client of a proxy sees them.

use serde_json::Value;

use crate::exchange::{body, exchange, header, status};
use crate::front::Front;

/// Checks that the proxy passes on a denial with all its parts. `ambiguous` is the status for a
/// path with two readings: 400, or 403 where the proxy passes on only statuses that it knows.
pub(crate) async fn check_denials(front: &Front<'_>, ambiguous: u16) {
    let token = front.world.mint("ar-denials");
    front.until(200, "/orders/1", &token).await;
    for (line, expected, error, challenge) in [
        ("GET /scoped/1", 403, "insufficient_scope", r#"scope="orders:write""#),
        ("GET /elsewhere", 403, "access_denied", "Bearer error="),
        ("GET /orders/..%2f1", ambiguous, "invalid_request", ""),
        ("GET /orders/1?", 401, "invalid_token", r#"Bearer error="invalid_token""#),
    ] {
        let token = if expected == 401 { "x" } else { token.as_str() };
        let request = format!(
            "{line} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nX-Request-Id: id-1\r\n\r\n"
        );
        let response = exchange(front.address, request.as_bytes()).await.unwrap();
        assert_eq!(status(&response), expected, "{response}");
        assert_eq!(header(&response, "content-type"), Some("application/json"), "{response}");
        assert_eq!(header(&response, "cache-control"), Some("no-store"), "{response}");
        assert_eq!(header(&response, "x-request-id"), Some("id-1"), "{response}");
        let sent = header(&response, "www-authenticate").unwrap_or_default();
        assert!(sent.contains(challenge), "{response}");
        let json: Value = serde_json::from_str(body(&response)).unwrap();
        assert_eq!(json["error"], error, "{response}");
        assert_eq!(json["requestId"], "id-1", "{response}");
    }
}
