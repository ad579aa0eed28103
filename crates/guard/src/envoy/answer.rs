//! The parts of an answer that both protocols share.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue as EnvoyHeader, HeaderValueOption};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use tonic::Code;

use crate::routes::GuardBody;

/// A denial, as Envoy sends it to the client.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Denial {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Denial {
    /// Reads the denial from the response of a decision.
    pub(super) async fn of(response: Response<GuardBody>) -> Self {
        let (head, body) = response.into_parts();
        // The body of a denial is one chunk that is already here.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let mut headers = head.headers;
        headers.remove(CONTENT_LENGTH);
        // A success is no denial. Envoy would send it as the answer of the service.
        let status = match head.status {
            status if status.is_client_error() || status.is_server_error() => status,
            _ => StatusCode::FORBIDDEN,
        };
        Self { status, headers, body }
    }

    /// Returns the code that a gRPC client sees.
    pub(super) fn grpc_code(&self) -> Code {
        match self.status {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            _ => Code::InvalidArgument,
        }
    }
}

/// The field in which a filter expects the value of a header. It takes the other one for an empty
/// value.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueField {
    /// ext_authz
    Text,
    /// ext_proc
    Raw,
}

/// Returns the headers to set. They replace those that the client sent.
pub(super) fn to_set(headers: &HeaderMap, field: ValueField) -> Vec<HeaderValueOption> {
    let header = |name: &HeaderName, value: &HeaderValue| {
        let (mut text, mut raw_value) = (String::new(), Vec::new());
        match field {
            ValueField::Text => text = String::from_utf8_lossy(value.as_bytes()).into_owned(),
            ValueField::Raw => raw_value = value.as_bytes().to_vec(),
        }
        EnvoyHeader { key: name.as_str().to_owned(), value: text, raw_value }
    };
    let option = |(name, value)| HeaderValueOption {
        header: Some(header(name, value)),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    };
    headers.iter().map(option).collect()
}

/// Returns the forged headers that are not replaced anyway. Envoy may remove headers after it has
/// set others, so the list must not name those.
pub(super) fn to_remove(forged: Vec<String>, set: &HeaderMap) -> Vec<String> {
    let is_left = |name: &String| !set.contains_key(name.as_str());
    forged.into_iter().filter(is_left).collect()
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn success_is_sent_as_denial() {
        for (status, sent) in [(200, 403), (101, 403), (304, 403), (401, 401), (503, 503)] {
            let body = Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {});
            let mut response = Response::new(body.boxed_unsync());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let denial = Denial::of(response).await;
            assert_eq!((denial.status.as_u16(), &*denial.body), (sent, &b"{}"[..]));
        }
    }
}
