//! The answers of the reverse proxy itself: a request that it refuses, and a service that fails.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode, Version};
use serde::Serialize;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that has no answer of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyError {
    /// The request has more than one reading, or none.
    Malformed(&'static str),
    /// A method that a reverse proxy must not forward.
    Method,
    /// `Expect` with another value than `100-continue`.
    Expectation,
    /// The client paused for too long in its upload.
    StalledUpload,
    /// The client's upload broke off.
    BrokenUpload,
    /// There is no connection to the service.
    Unreachable,
    /// There was no connection to the service in time.
    ConnectTimeout,
    /// The service broke off, or sent no valid response.
    Broken,
    /// The service did not begin its response in time.
    Timeout,
}

impl ProxyError {
    /// Every kind of error.
    pub(super) const ALL: [Self; 9] = [
        Self::Malformed(""),
        Self::Method,
        Self::Expectation,
        Self::StalledUpload,
        Self::BrokenUpload,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::Broken,
        Self::Timeout,
    ];

    /// Returns the label of a failure of the service, or `None` if the request was at fault.
    pub(super) const fn failure(self) -> Option<&'static str> {
        match self {
            Self::Unreachable => Some("unreachable"),
            Self::ConnectTimeout => Some("connect_timeout"),
            Self::Broken => Some("broken"),
            Self::Timeout => Some("timeout"),
            _ => None,
        }
    }

    /// Returns the label of a request that is at fault, or `None` if the service failed.
    pub(super) const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Malformed(_) => Some("malformed"),
            Self::Method => Some("method"),
            Self::Expectation => Some("expectation"),
            Self::StalledUpload => Some("stalled_upload"),
            Self::BrokenUpload => Some("broken_upload"),
            _ => None,
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::BrokenUpload => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::NOT_IMPLEMENTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::StalledUpload => StatusCode::REQUEST_TIMEOUT,
            Self::Unreachable | Self::Broken => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Malformed(problem) => problem,
            Self::Method => "CONNECT and TRACE are not forwarded",
            Self::Expectation => "only Expect: 100-continue is accepted",
            Self::StalledUpload => "the body did not arrive in time",
            Self::BrokenUpload => "the body is malformed, or ended early",
            Self::Unreachable => "the service cannot be reached",
            Self::ConnectTimeout => "the service cannot be reached in time",
            Self::Broken => "the service sent no valid response",
            Self::Timeout => "the service did not answer in time",
        }
    }

    /// Returns the answer to a gRPC call: status 200, and the error in `grpc-status`. Clients such
    /// as tonic's take a 502 with a body for a broken message.
    pub(super) fn respond_grpc(self, request_id: &HeaderValue) -> Response<Bytes> {
        // UNAVAILABLE, or INVALID_ARGUMENT.
        let code = if self.failure().is_some() { "14" } else { "3" };
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_REQUEST_ID, request_id.clone());
        headers.insert("grpc-status", HeaderValue::from_static(code));
        headers.insert("grpc-message", HeaderValue::from_static(self.description()));
        response
    }

    /// Returns the answer, in the same form as a denial.
    pub(super) fn respond(self, version: Version, request_id: &HeaderValue) -> Response<Bytes> {
        let status = self.status();
        let error = match status {
            StatusCode::BAD_GATEWAY => "bad_gateway",
            StatusCode::GATEWAY_TIMEOUT => "gateway_timeout",
            _ => "invalid_request",
        };
        let body = ErrorBody {
            error,
            error_description: self.description(),
            request_id: request_id.to_str().unwrap_or_default(),
        };
        // Strings always serialize.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_REQUEST_ID, request_id.clone());
        if matches!(self, Self::Unreachable | Self::ConnectTimeout) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // A proxy in front could have read another end of a refused request.
        if self.failure().is_none() && version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    error_description: &'a str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
}
