//! The denial of a request, and its response.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use super::request_id::RequestId;
use super::respond::{Content, respond};
use super::table::{Answer, Profile};
use crate::{RequestDenial, challenge};

/// The denial of a request.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    pub(crate) rejection: RequestDenial,
    pub(crate) request_id: RequestId,
    pub(crate) profile: Profile,
    /// `true` if the request is a gRPC call.
    pub(crate) grpc: bool,
    /// The parameters that the layer adds to the challenge.
    pub(crate) challenge: Option<Arc<str>>,
}

impl Denial {
    /// Returns the response to the denied request, with the reason in its extensions.
    pub(crate) fn respond(&self) -> Response<Bytes> {
        let Self { rejection, request_id, profile, grpc, challenge: parameters } = self;
        let answer = profile.answer(rejection.kind());
        let description = rejection.description(*profile);
        let content = Content {
            description: &description,
            reason: rejection.kind().label(),
            challenge: challenge(&answer, &description, parameters.as_deref()),
            answer,
        };
        let mut response = respond(content, request_id, *grpc);
        response.extensions_mut().insert(rejection.clone());
        response
    }
}

fn challenge(answer: &Answer, description: &str, parameters: Option<&str>) -> Option<HeaderValue> {
    let error = answer.names_error.then_some((answer.error, description));
    let is_about_token = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    is_about_token.then(|| challenge::challenge(error, parameters))
}
