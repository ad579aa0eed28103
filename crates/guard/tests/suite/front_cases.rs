//! Requests that every front must decide alike, whichever proxy asks.
//!
//! `front.rs` sends them. A header's `{valid}`, `{revoked}` and `{writer}` become tokens.

/// The result that a case must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// The request reaches the application with the identity of the token.
    Passes,
    /// The request reaches the application without any identity.
    Anonymous,
    /// The request is denied with this status, and the body holds this error.
    Denied(u16, &'static str),
    /// The request is denied with 401, or with the status `UNAUTHENTICATED` of gRPC by a proxy that
    /// translates denials. The response holds this error.
    DeniedCall(&'static str),
    /// The request is denied with any of these statuses.
    DeniedWith(&'static [u16]),
    /// The request is denied with 401, or by the proxy itself with 400.
    TwoTokens,
    /// The request is denied with 401, or it reaches the application with the identity.
    CheckedOrDenied,
    /// The request is denied with 401, or it reaches the application anonymously, without the
    /// token.
    AnonymousOrDenied,
}
use Expected::{
    Anonymous, AnonymousOrDenied, CheckedOrDenied, Denied, DeniedCall, DeniedWith, Passes,
    TwoTokens,
};

/// A request: its name, its method and path, its header lines, its body, and its result.
pub(crate) type Case =
    (&'static str, &'static str, &'static [&'static str], &'static str, Expected);

const VALID: &str = "Authorization: Bearer {valid}";
const REVOKED: &str = "Authorization: Bearer {revoked}";
const WRITER: &str = "Authorization: Bearer {writer}";
const GRPC: &str = "Content-Type: application/grpc";
const TRAILERS: &str = "TE: trailers";
const FIVE: &str = "Content-Length: 5";
/// HAProxy answers 400 to a WebSocket without a key.
const WEBSOCKET_KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

const NO_TOKEN: Expected = Denied(401, "missing_token");
const INVALID: Expected = Denied(401, "invalid_token");
const ENDED: Expected = Denied(401, "session_revoked");
const NO_SCOPE: Expected = Denied(403, "insufficient_scope");
const NO_ROUTE: Expected = Denied(403, "access_denied");
const NO_PASS: Expected = DeniedWith(&[400, 401, 403]);

/// Tokens and their requirements.
const TOKENS: &[Case] = &[
    ("valid token", "GET /orders/1?a=b%20c&d", &[VALID], "", Passes),
    ("lower-case scheme", "GET /orders/1", &["authorization: bearer {valid}"], "", Passes),
    ("missing token", "GET /orders/1", &[], "", NO_TOKEN),
    ("another scheme", "GET /orders/1", &["Authorization: Basic dTpw"], "", NO_TOKEN),
    ("unreadable token", "GET /orders/1", &["Authorization: Bearer x"], "", INVALID),
    ("revoked token", "GET /orders/1", &[REVOKED], "", ENDED),
    ("required scope", "GET /scoped/1", &[WRITER], "", Passes),
    ("missing scope", "GET /scoped/1", &[VALID], "", NO_SCOPE),
    ("anonymous", "GET /open/1", &[], "", Anonymous),
    ("anonymous route, with token", "GET /open/1", &[VALID], "", Passes),
    ("anonymous route, revoked", "GET /open/1", &[REVOKED], "", ENDED),
    ("anonymous route, empty header", "GET /open/1", &["Authorization:"], "", DeniedWith(&[401])),
    ("two headers", "GET /orders/1", &[VALID, VALID], "", TwoTokens),
    ("two headers, second revoked", "GET /orders/1", &[VALID, REVOKED], "", TwoTokens),
    ("two headers, anonymous", "GET /open/1", &[VALID, "authorization: x"], "", TwoTokens),
    (
        "joined tokens",
        "GET /orders/1",
        &["Authorization: Bearer {valid},Bearer {valid}"],
        "",
        INVALID,
    ),
    (
        "joined tokens with space",
        "GET /orders/1",
        &["Authorization: Bearer {valid}, Bearer {valid}"],
        "",
        INVALID,
    ),
    ("space inside token", "GET /orders/1", &["Authorization: Bearer {valid} x"], "", INVALID),
];

/// Methods, bodies and headers that concern the connection.
const MESSAGES: &[Case] = &[
    ("no route", "GET /elsewhere", &[VALID], "", NO_ROUTE),
    ("method without route", "POST /readonly/1", &[VALID, FIVE], "hello", NO_ROUTE),
    ("method with route", "HEAD /readonly/1", &[VALID], "", Passes),
    ("HEAD, revoked", "HEAD /orders/1", &[REVOKED], "", DeniedWith(&[401])),
    ("OPTIONS", "OPTIONS /orders/1", &[VALID], "", Passes),
    ("unusual method", "PURGE /orders/1", &[VALID], "", Passes),
    ("POST", "POST /orders/1", &[VALID, FIVE], "hello", Passes),
    ("POST, revoked", "POST /orders/1", &[REVOKED, FIVE], "hello", ENDED),
    (
        "POST, chunked",
        "POST /orders/1",
        &[VALID, "Transfer-Encoding: chunked"],
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        Passes,
    ),
    (
        "POST, chunked, revoked",
        "POST /orders/1",
        &[REVOKED, "Transfer-Encoding: chunked"],
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ENDED,
    ),
    ("gRPC", "POST /orders/1", &[VALID, GRPC, TRAILERS, FIVE], "hello", Passes),
    (
        "gRPC, revoked",
        "POST /orders/1",
        &[REVOKED, GRPC, TRAILERS, FIVE],
        "hello",
        DeniedCall("session_revoked"),
    ),
    (
        "Connection names headers",
        "GET /orders/1",
        &[VALID, "Connection: Authorization, X-Caracal-Subject"],
        "",
        CheckedOrDenied,
    ),
    (
        "Connection names headers, revoked",
        "GET /orders/1",
        &[REVOKED, "Connection: Authorization"],
        "",
        DeniedWith(&[401]),
    ),
    (
        "Connection names headers, anonymous route",
        "GET /open/1",
        &[REVOKED, "Connection: Authorization"],
        "",
        AnonymousOrDenied,
    ),
    (
        "Upgrade, revoked",
        "GET /ws",
        &[REVOKED, "Connection: Upgrade", "Upgrade: websocket", WEBSOCKET_KEY],
        "",
        ENDED,
    ),
];

/// Every header that only the guard may set, in both spellings.
const FORGED: &[&str] = &[
    "X-Caracal-Subject: forged",
    "X-Caracal-Zone: forged",
    "X-Caracal-Client: forged",
    "X-Caracal-Scopes: forged",
    "X-Caracal-Session: forged",
    "X-Caracal-Staleness-Ms: forged",
    "X_Caracal_Subject: forged",
    "X_Caracal_Zone: forged",
    "X_Caracal_Client: forged",
    "X_Caracal_Scopes: forged",
    "X_Caracal_Session: forged",
    "X_Caracal_Staleness_Ms: forged",
    "X-Caracal_Subject: forged",
    "x_caracal-scopes: forged",
];

/// Attempts to forge what the proxy reports, and paths that two programs could read differently.
const ATTACKS: &[Case] = &[
    ("forged identity, anonymous", "GET /open/1", FORGED, "", Anonymous),
    (
        "forged original URI",
        "GET /scoped/1",
        &[VALID, "X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders/1"],
        "",
        DeniedWith(&[403]),
    ),
    (
        "forged original URI, anonymous",
        "GET /orders/1",
        &["X-Forwarded-Method: GET", "X-Forwarded-Uri: /open/1"],
        "",
        DeniedWith(&[401, 403]),
    ),
    (
        "forged original method",
        "POST /readonly/1",
        &[VALID, "X-Forwarded-Method: GET", "X-Forwarded-Uri: /readonly/1", FIVE],
        "hello",
        DeniedWith(&[403]),
    ),
    ("dots", "GET /open/../orders/1", &[], "", NO_PASS),
    ("escaped dots", "GET /open/%2e%2e/orders/1", &[], "", NO_PASS),
    ("escaped slash", "GET /open/..%2Forders/1", &[], "", NO_PASS),
    ("two slashes", "GET //open/1", &[REVOKED], "", NO_PASS),
    ("parameters", "GET /open;x/1", &[], "", NO_PASS),
    ("escaped prefix", "GET /%73coped/1", &[VALID], "", NO_SCOPE),
];

/// Returns every case. The last one is built here, because constants cannot be joined.
pub(crate) fn all() -> Vec<(Case, Vec<&'static str>)> {
    let tables = [TOKENS, MESSAGES, ATTACKS].into_iter().flatten();
    let mut all: Vec<_> = tables.map(|case| (*case, case.2.to_vec())).collect();
    let lines = FORGED.iter().copied().chain([VALID]).collect();
    all.push((("forged identity", "GET /orders/1", &[], "", Passes), lines));
    all
}
