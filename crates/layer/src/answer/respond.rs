//! The response to a denied request.

use bytes::Bytes;
use http::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde::Serialize;

use super::grpc::GrpcStatus;
use super::request_id::{RequestId, X_REQUEST_ID};
use super::table::Answer;

/// The content of an answer: a row of the table, and the parts that depend on the request.
#[derive(Clone, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) answer: Answer,
    /// A sentence for a person: from the table, or a more specific one.
    pub(crate) description: &'a str,
    /// The label of the reason, for gRPC's `ErrorInfo`.
    pub(crate) reason: &'a str,
    /// The value of `WWW-Authenticate`.
    pub(crate) challenge: Option<HeaderValue>,
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

/// Returns the response. A gRPC call gets status 200 and the denial in `grpc-status`.
pub(crate) fn respond(content: Content<'_>, request_id: &RequestId, grpc: bool) -> Response<Bytes> {
    let mut response =
        if grpc { in_grpc(&content, request_id) } else { in_json(content, request_id) };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_REQUEST_ID, request_id.to_header());
    response
}

/// Returns a response without body, with the gRPC status in its headers ("trailers only").
fn in_grpc(content: &Content<'_>, request_id: &RequestId) -> Response<Bytes> {
    let answer = content.answer;
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let status = GrpcStatus {
        code: answer.grpc_code(),
        message: content.description,
        reason: content.reason,
        metadata: &[("error", answer.error), ("requestId", request_id.as_str())],
    };
    status.write(headers);
    response
}

fn in_json(content: Content<'_>, request_id: &RequestId) -> Response<Bytes> {
    let answer = content.answer;
    let body = ErrorBody {
        error: answer.error,
        error_description: content.description,
        error_hint: answer.hint,
        request_id: request_id.as_str(),
    };
    // Strings always serialize.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(challenge) = content.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = body.into();
    response
}
