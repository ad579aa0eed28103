//! Mandates as arguments of axum's handlers.

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use caracal_revocation_state::Admission;
use http::StatusCode;
use http::request::Parts;

use crate::mandate::{Anonymous, Mandate};

/// The request has no mandate that a layer in front of the handler has verified and admitted. This
/// is a mistake in the service's own set-up; the response is 500.
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

/// Extracts `None` only if a layer admitted the request without a token, as
/// `GatewayLayer::allow_anonymous` does. It fails with [`MissingMandate`] if the request was
/// admitted on other claims than those of a mandate, or if no layer decided on it.
impl<S: Sync> OptionalFromRequestParts<S> for Mandate {
    type Rejection = MissingMandate;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, MissingMandate> {
        let extensions = &parts.extensions;
        let mandate = Self::of(extensions).cloned();
        let is_admitted = extensions.get::<Admission>().is_some();
        let is_anonymous = !is_admitted && extensions.get::<Anonymous>().is_some();
        if mandate.is_some() || is_anonymous { Ok(mandate) } else { Err(MissingMandate) }
    }
}
