//! Mandates as arguments of axum's handlers.

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use caracal_revocation_state::Admission;
use http::StatusCode;
use http::request::Parts;

use crate::mandate::{Anonymous, Mandate};

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

/// `None` only for a request that a layer let through without a token, as
/// `GatewayLayer::allow_anonymous` does. A request that was admitted on something else than a
/// mandate, or that no layer decided about, is not anonymous: the answer is [`MissingMandate`].
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
