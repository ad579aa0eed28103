//! The response to a denied request.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::{GrpcStatus, RequestId, X_REQUEST_ID, code_of};

/// The content of an answer.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The status over plain HTTP.
    pub status: StatusCode,
    /// The code, such as `invalid_token`.
    pub error: &'a str,
    /// A sentence for a person.
    pub description: &'a str,
    /// What the client can do about it.
    pub hint: Option<&'a str>,
    /// The label of the reason, for gRPC's `ErrorInfo`.
    pub reason: &'a str,
    /// Seconds after which the client may try again.
    pub retry_after: Option<u16>,
    /// The value of `WWW-Authenticate`.
    pub challenge: Option<HeaderValue>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    error_description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_hint: Option<&'a str>,
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

/// Makes the response. A call over gRPC gets status 200 and the denial in `grpc-status`.
#[must_use]
pub fn respond(answer: Answer<'_>, request_id: &RequestId, grpc: bool) -> Response<Bytes> {
    let mut response =
        if grpc { in_grpc(&answer, request_id) } else { in_json(answer, request_id) };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_REQUEST_ID, request_id.to_header());
    response
}

/// Puts the status among the headers, with no body: gRPC calls this "trailers only".
fn in_grpc(answer: &Answer<'_>, request_id: &RequestId) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let status = GrpcStatus {
        code: code_of(answer.status),
        message: answer.description,
        reason: answer.reason,
        metadata: &[("error", answer.error), ("requestId", request_id.as_str())],
    };
    status.write(headers);
    response
}

fn in_json(answer: Answer<'_>, request_id: &RequestId) -> Response<Bytes> {
    let body = ErrorBody {
        error: answer.error,
        error_description: answer.description,
        error_hint: answer.hint,
        request_id: request_id.as_str(),
    };
    // Strings always serialize; were it otherwise, the status alone would say it.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(challenge) = answer.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = body.into();
    response
}
