//! The response to a request that a policy layer denies.

use bytes::Bytes;
use caracal_revocation_answer::{Answer, RequestId};
use http::Response;

use crate::{PolicyRejection, answer};

/// The response to a refused request, with the rejection in its extensions.
pub(super) fn respond(
    rejection: PolicyRejection,
    request_id: &RequestId,
    grpc: bool,
) -> Response<Bytes> {
    let kind = rejection.kind();
    let answer = answer::policy(kind);
    let answer = Answer {
        status: answer.status,
        error: answer.error,
        description: answer.description,
        hint: answer.hint,
        reason: kind.label(),
        retry_after: answer.retry_after,
        challenge: None,
    };
    let mut response = caracal_revocation_answer::respond(answer, request_id, grpc);
    response.extensions_mut().insert(rejection);
    response
}
