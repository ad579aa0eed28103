//! Answers a question with the variables of an ACK frame.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, Response, StatusCode};
use http_body_util::BodyExt;
use spop::TypedData;
use spop::actions::{Action, VarScope};

use super::message::Described;
use crate::decider::Decider;
use crate::identity;
use crate::routes::GuardBody;

/// The variables that come from headers of the answer.
const FROM_HEADERS: [(&str, HeaderName); 9] = [
    ("www_authenticate", WWW_AUTHENTICATE),
    ("retry_after", RETRY_AFTER),
    ("request_id", HeaderName::from_static("x-request-id")),
    ("subject", identity::SUBJECT),
    ("zone", identity::ZONE),
    ("client", identity::CLIENT),
    ("scopes", identity::SCOPES),
    ("session", identity::SESSION),
    ("staleness_ms", identity::STALENESS_MS),
];

/// Decides, and returns the variables.
pub(super) async fn answer(decider: &Decider, described: Described) -> Vec<Action> {
    let answer = match described {
        Described::Question(question) => decider.decide(question).await,
        Described::Denied(kind, question) => decider.deny(kind, &question),
    };
    variables(answer).await.unwrap_or_else(unavailable)
}

/// Returns the variables of an answer that cannot be given: only the status 503.
pub(super) fn unavailable() -> Vec<Action> {
    vec![set("status", u32::from(StatusCode::SERVICE_UNAVAILABLE.as_u16()))]
}

/// Returns `None` if the answer holds a value that is no text.
///
/// A variable without a value is unset, so that none is left of an earlier check of the request.
async fn variables(answer: Response<GuardBody>) -> Option<Vec<Action>> {
    let (head, body) = answer.into_parts();
    let mut variables = vec![set("status", u32::from(head.status.as_u16()))];
    for (name, header) in FROM_HEADERS {
        variables.push(match head.headers.get(header) {
            Some(value) => set(name, value.to_str().ok()?),
            None => unset(name),
        });
    }
    let body = body.collect().await.ok()?.to_bytes();
    variables.push(match std::str::from_utf8(&body).ok()? {
        "" => unset("body"),
        body => set("body", body),
    });
    Some(variables)
}

fn set(name: &str, value: impl Into<TypedData>) -> Action {
    Action::SetVar { scope: VarScope::Transaction, name: name.to_owned(), value: value.into() }
}

fn unset(name: &str) -> Action {
    Action::UnSetVar { scope: VarScope::Transaction, name: name.to_owned() }
}
