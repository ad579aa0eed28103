//! `POST /revocations/reload`: reads everything again, for an operator with the token.

use std::sync::Arc;

use caracal_revocation_state::{ReloadObstacle, ReloadStart};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

use super::access::{BearerToken, Presented};

/// The token that a request must present, and the function that begins a reload.
#[derive(Clone)]
pub(super) struct ReloadAccess {
    pub(super) token: BearerToken,
    pub(super) start: Arc<dyn Fn() -> ReloadStart + Send + Sync>,
}

/// The JSON body of an answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ReloadAnswer {
    #[serde(skip)]
    pub(super) code: StatusCode,
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<&'static str>,
}

impl ReloadAnswer {
    const fn new(code: StatusCode, status: &'static str, reason: Option<&'static str>) -> Self {
        Self { code, status, reason, advice: None }
    }

    /// Returns the answer to a request with this method and these headers. Begins a reload if the
    /// request may.
    pub(super) fn to(access: Option<&ReloadAccess>, method: &Method, headers: &HeaderMap) -> Self {
        let Some(access) = access else {
            let reason = "no bearer token for reloads is configured";
            return Self::new(StatusCode::NOT_FOUND, "not_configured", Some(reason));
        };
        if method != Method::POST {
            let reason = Some("only POST begins a reload");
            return Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", reason);
        }
        match access.token.presented(headers) {
            Presented::Right => Self::of((access.start)()),
            Presented::Wrong => {
                let reason = Some("this is not the bearer token for reloads");
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", reason)
            }
            Presented::Nothing => {
                let reason = Some("the bearer token for reloads is needed");
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", reason)
            }
        }
    }

    fn of(start: ReloadStart) -> Self {
        let not_possible = |obstacle: ReloadObstacle| Self {
            advice: Some(obstacle.advice()),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_possible", Some(obstacle.label()))
        };
        match start {
            ReloadStart::Accepted => Self::new(StatusCode::ACCEPTED, "accepted", None),
            ReloadStart::AlreadyRunning => Self::new(StatusCode::CONFLICT, "already_running", None),
            ReloadStart::NotPossible(obstacle) => not_possible(obstacle),
            // An answer that this version does not know is no promise of a reload.
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_possible", None),
        }
    }
}
