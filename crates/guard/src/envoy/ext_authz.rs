//! `envoy.service.auth.v3.Authorization`: one question, one answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caracal_revocation::state::LEEWAY;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc;
use http::{HeaderName, StatusCode};
use tonic::{Code, Request, Response, Status};

use super::answer::{Denial, ValueField, to_remove, to_set};
use super::question::{Described, pair};
use crate::decider::{Decider, Expires};

/// Limits the time of the response, in Envoy's router filter.
const TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-upstream-rq-timeout-ms");

/// Answers external authorization.
#[derive(Clone)]
pub(super) struct ExtAuthz {
    pub(super) decider: Decider,
    /// Ends each response when the token expires.
    pub(super) timeout_from_exp: bool,
}

#[tonic::async_trait]
impl Authorization for ExtAuthz {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let Described { question, problem, forged } = describe(request.into_inner());
        let answer = match problem {
            Some(kind) => self.decider.deny(kind, &question),
            None => self.decider.decide(question).await,
        };
        if answer.status() != StatusCode::OK {
            return Ok(Response::new(denied(Denial::of(answer).await)));
        }
        let mut set = answer.headers().clone();
        if let Some(Expires(exp)) = answer.extensions().get().filter(|_| self.timeout_from_exp) {
            set.insert(TIMEOUT, milliseconds_left(*exp, SystemTime::now()).into());
        }
        let response = HttpResponse::OkResponse(OkHttpResponse {
            headers: to_set(&set, ValueField::Text),
            headers_to_remove: to_remove(forged, &set),
            ..OkHttpResponse::default()
        });
        Ok(Response::new(check_response(Code::Ok, response)))
    }
}

/// Reads the attributes of an HTTP request. Without them there is no path, and the request is
/// denied.
fn describe(request: CheckRequest) -> Described {
    let http = request.attributes.and_then(|attributes| attributes.request?.http);
    let http = http.unwrap_or_default();
    let texts = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let raw = http.header_map.iter().flat_map(|map| &map.headers).map(pair);
    Described::new(http.method.as_bytes(), http.path.as_bytes(), texts.chain(raw))
}

fn denied(denial: Denial) -> CheckResponse {
    let code = denial.grpc_code();
    let response = HttpResponse::DeniedResponse(DeniedHttpResponse {
        status: Some(HttpStatus { code: denial.status.as_u16().into() }),
        headers: to_set(&denial.headers, ValueField::Text),
        body: String::from_utf8_lossy(&denial.body).into_owned(),
    });
    check_response(code, response)
}

fn check_response(code: Code, response: HttpResponse) -> CheckResponse {
    CheckResponse {
        status: Some(rpc::Status { code: code.into(), ..rpc::Status::default() }),
        http_response: Some(response),
        ..CheckResponse::default()
    }
}

/// Returns the time until the token counts as expired, at least 1 ms: for Envoy, 0 is no limit.
fn milliseconds_left(exp: i64, now: SystemTime) -> u64 {
    let end = Duration::from_secs(exp.max(0).unsigned_abs()) + LEEWAY;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(end.saturating_sub(now).as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_ends_with_token_and_its_leeway() {
        let now = UNIX_EPOCH + Duration::from_millis(1_000_500);
        let leeway = u64::try_from(LEEWAY.as_millis()).unwrap();
        for (exp, left) in [(1_010, leeway + 9_500), (1_000, leeway - 500), (0, 1), (-5, 1)] {
            assert_eq!(milliseconds_left(exp, now), left, "{exp}");
        }
    }
}
