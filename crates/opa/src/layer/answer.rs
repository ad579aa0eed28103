//! What a refused client is told: the one table from reason to response.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use crate::{PolicyRejection, PolicyRejectionKind};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl PolicyRejectionKind {
    pub(super) const fn answer(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotAdmitted
            | Self::NoClaims
            | Self::OtherState
            | Self::NoZone
            | Self::OtherZone => {
                (StatusCode::FORBIDDEN, "access_denied", "authority not established")
            }
            Self::AmbiguousPath => {
                (StatusCode::BAD_REQUEST, "invalid_request", "the path is ambiguous")
            }
            Self::Denied | Self::NoPolicy => {
                (StatusCode::FORBIDDEN, "access_denied", "denied by policy")
            }
            Self::InvalidInput | Self::PolicyUnusable | Self::EvaluationFailed => {
                (StatusCode::SERVICE_UNAVAILABLE, "sts_unavailable", "policy state unavailable")
            }
        }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'static str,
    error_description: &'static str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

/// The response to a refused request, with the rejection in its extensions.
pub(super) fn respond(rejection: PolicyRejection, request_id: &str) -> Response<Bytes> {
    let (status, error, error_description) = rejection.kind().answer();
    let body = ErrorBody { error, error_description, request_id };
    // Three strings always serialize; were it otherwise, the status alone would say it.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from(1));
    }
    response.extensions_mut().insert(rejection);
    *response.body_mut() = body.into();
    response
}

/// The client's own id if it is 1 to 128 bytes of visible ASCII, else a new UUID (version 7).
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let readable = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        let fits = (1..=128).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        value.to_str().ok().filter(|_| fits).map(str::to_owned)
    };
    headers.get(X_REQUEST_ID).and_then(readable).unwrap_or_else(|| Uuid::now_v7().to_string())
}
