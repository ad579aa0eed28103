//! Mandates as arguments of axum's handlers.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::Mandate;

/// No layer in front of the handler verifies mandates, or another one was left in its place: a
/// mistake of the service, answered 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no layer in front of this handler verifies mandates")]
pub struct MissingMandate;

impl IntoResponse for MissingMandate {
    fn into_response(self) -> Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Mandate {
    type Rejection = MissingMandate;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingMandate> {
        Self::of(&parts.extensions).cloned().ok_or(MissingMandate)
    }
}
