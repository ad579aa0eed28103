//! What a refused client is told: the one table from reason to response.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::{Rejection, RejectionKind};

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
    pub(crate) alert: Option<Alert>,
    /// Whether the challenge names the error; a client that sent no token made none.
    names_error: bool,
    retry_after: Option<u16>,
}

/// The counter that operators alert on, beside the one that counts every denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alert {
    Revoked,
    Stale,
}

impl RejectionKind {
    pub(crate) const fn answer(self) -> Answer {
        match self {
            Self::MissingToken => {
                Answer { names_error: false, ..invalid_token("missing bearer token") }
            }
            Self::AmbiguousToken => invalid_token("more than one authorization header"),
            Self::OversizedToken => invalid_token("token exceeds 4096 bytes"),
            Self::MalformedHeader => invalid_token("malformed authorization header"),
            Self::MalformedToken => invalid_token("token is not three segments"),
            Self::MalformedPayload => invalid_token("token payload is not base64url"),
            Self::MalformedJson => invalid_token("token payload is not JSON"),
            Self::MalformedClaims => {
                invalid_token("claims are missing, repeated or of the wrong type")
            }
            Self::UnverifiedToken => invalid_token("token was not verified"),
            Self::Revoked | Self::Suspended => {
                Answer { alert: Some(Alert::Revoked), ..invalid_token("session revoked") }
            }
            Self::DelegationStale => {
                Answer { alert: Some(Alert::Revoked), ..invalid_token("delegation stale") }
            }
            Self::HistoryIncomplete => {
                Answer { retry_after: Some(5), ..invalid_token("refresh the mandate") }
            }
            Self::Unknown => Answer {
                status: StatusCode::SERVICE_UNAVAILABLE,
                error: "sts_unavailable",
                alert: Some(Alert::Stale),
                retry_after: Some(1),
                ..invalid_token("revocation state unavailable")
            },
        }
    }
}

const fn invalid_token(description: &'static str) -> Answer {
    Answer {
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_token",
        description,
        alert: None,
        names_error: true,
        retry_after: None,
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
pub(crate) fn respond(rejection: &Rejection, request_id: &RequestId) -> Response<Bytes> {
    let answer = rejection.kind().answer();
    let body = ErrorBody {
        error: answer.error,
        error_description: answer.description,
        request_id: request_id.as_str(),
    };
    // Three strings always serialize; were it otherwise, the status alone would say it.
    let body = serde_json::to_vec(&body).unwrap_or_default();

    let mut response = Response::new(Bytes::new());
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_REQUEST_ID, request_id.to_header());
    if let Some(challenge) = challenge(&answer) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(rejection.clone());
    *response.body_mut() = body.into();
    response
}

fn challenge(answer: &Answer) -> Option<HeaderValue> {
    let bare = HeaderValue::from_static("Bearer");
    let Answer { error, description, .. } = answer;
    let named = format!(r#"Bearer error="{error}", error_description="{description}""#);
    match (answer.status, answer.names_error) {
        (StatusCode::UNAUTHORIZED, true) => Some(HeaderValue::try_from(named).unwrap_or(bare)),
        (StatusCode::UNAUTHORIZED, false) => Some(bare),
        _ => None,
    }
}
