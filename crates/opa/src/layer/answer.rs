//! What a refused client is told: the one table from reason to response.

use bytes::Bytes;
use caracal_revocation_answer::{Answer, RequestId};
use http::{Response, StatusCode};

use crate::{PolicyRejection, PolicyRejectionKind};

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

/// The response to a refused request, with the rejection in its extensions.
pub(super) fn respond(
    rejection: PolicyRejection,
    request_id: &RequestId,
    grpc: bool,
) -> Response<Bytes> {
    let kind = rejection.kind();
    let (status, error, description) = kind.answer();
    let answer = Answer {
        status,
        error,
        description,
        hint: None,
        reason: kind.label(),
        retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        challenge: None,
    };
    let mut response = caracal_revocation_answer::respond(answer, request_id, grpc);
    response.extensions_mut().insert(rejection);
    response
}
