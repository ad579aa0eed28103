//! The one table from reason to answer: HTTP status, error, description, hint and gRPC code.

use http::StatusCode;

#[cfg(feature = "opa")]
use crate::PolicyDenialKind;
use crate::RequestDenialKind;
use crate::limits::{RETRY_OUTAGE, RETRY_REFRESH};

const AMBIGUOUS_PATH: &str = "the path is ambiguous";

/// The kind of layer that answers. It selects a column of the table (contract, "Answers").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Gateway,
    Resource,
    Sts,
}

/// One row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
    pub(crate) hint: Option<&'static str>,
    pub(crate) alert: Option<Alert>,
    /// `true` if the challenge names the error. It names none if the client sent no token.
    pub(super) names_error: bool,
    pub(super) retry_after: Option<u16>,
}

/// An extra counter for alerts, in addition to the counter of all denials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alert {
    Revoked,
    Stale,
}

impl Profile {
    pub(crate) const fn answer(self, kind: RequestDenialKind) -> Answer {
        match self {
            Self::Gateway => gateway(kind),
            Self::Resource => resource(kind),
            Self::Sts => sts(kind),
        }
    }
}

impl Answer {
    /// Returns the gRPC code that corresponds to the HTTP status.
    pub(crate) fn grpc_code(&self) -> u8 {
        match self.status {
            // UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE, INVALID_ARGUMENT.
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            _ => 3,
        }
    }
}

const fn gateway(kind: RequestDenialKind) -> Answer {
    use RequestDenialKind as Kind;
    match kind {
        Kind::MissingToken => {
            Answer { names_error: false, ..invalid_token("missing bearer token") }
        }
        Kind::AmbiguousToken => invalid_token("more than one authorization header"),
        Kind::OversizedToken => invalid_token("token exceeds 4096 bytes"),
        Kind::MalformedHeader => invalid_token("malformed authorization header"),
        Kind::MalformedToken => invalid_token("token is not three segments"),
        Kind::MalformedPayload => invalid_token("token payload is not base64url"),
        Kind::MalformedJson => invalid_token("token payload is not JSON"),
        Kind::MalformedClaims => invalid_token("claims are missing, repeated or of the wrong type"),
        Kind::UnverifiedToken => invalid_token("token was not verified"),
        Kind::OtherState => invalid_token("identity belongs to another revocation state"),
        Kind::InvalidMandate => invalid_token("token is not valid here"),
        Kind::InvalidZone => invalid_token("token is of another zone"),
        Kind::InsufficientScope => forbidden("insufficient_scope", "a required scope is missing"),
        Kind::SessionRequired => forbidden("session_required", "a governed session is required"),
        Kind::DelegationRequired => forbidden("delegation_required", "a delegation is required"),
        Kind::ChainMismatch => {
            forbidden("chain_mismatch", "the delegation chain lacks a required application")
        }
        Kind::HopCountExceeded => forbidden("hop_count_exceeded", "too many delegation hops"),
        Kind::QueryParameters => {
            invalid_request(StatusCode::BAD_REQUEST, "query parameters are not accepted")
        }
        Kind::UnsupportedBody => invalid_request(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is not application/x-www-form-urlencoded",
        ),
        Kind::OversizedBody => {
            invalid_request(StatusCode::PAYLOAD_TOO_LARGE, "the body exceeds 65536 bytes")
        }
        Kind::StalledBody => {
            invalid_request(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
        }
        Kind::BrokenBody => invalid_request(StatusCode::BAD_REQUEST, "the body ended early"),
        Kind::MalformedForm => invalid_request(StatusCode::BAD_REQUEST, "malformed form"),
        Kind::RepeatedField => invalid_request(StatusCode::BAD_REQUEST, "a field is repeated"),
        Kind::AmbiguousPath => invalid_request(StatusCode::BAD_REQUEST, AMBIGUOUS_PATH),
        Kind::NoRoute => forbidden("access_denied", "no route has this path and method"),
        Kind::Replayed => invalid_token("token was already used"),
        Kind::UseUnknown => unavailable("record of used tokens unavailable"),
        Kind::UnsupportedVersion => Answer {
            status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            error: "http_version_not_supported",
            ..invalid_token(
                "the response has no length, so HTTP/1.1 is needed (nginx: proxy_http_version 1.1)",
            )
        },
        Kind::Revoked | Kind::Suspended => {
            Answer { alert: Some(Alert::Revoked), ..invalid_token("session revoked") }
        }
        Kind::DelegationStale => {
            Answer { alert: Some(Alert::Revoked), ..invalid_token("delegation stale") }
        }
        Kind::HistoryIncomplete => {
            Answer { retry_after: Some(RETRY_REFRESH), ..invalid_token("refresh the mandate") }
        }
        Kind::Expired => invalid_token("token expired"),
        Kind::NotYetValid => invalid_token("token is not valid yet"),
        Kind::LifetimeTooLong => invalid_token("token lives longer than 60 minutes"),
        Kind::KeysUnavailable => unavailable("verification keys unavailable"),
        Kind::Unknown => {
            Answer { alert: Some(Alert::Stale), ..unavailable("revocation state unavailable") }
        }
    }
}

/// Returns the answer of a resource server: the gateway's, with a more specific error and a hint.
const fn resource(kind: RequestDenialKind) -> Answer {
    use RequestDenialKind as Kind;
    let base = gateway(kind);
    let (error, hint) = match kind {
        Kind::MissingToken => ("missing_token", "send a mandate as a bearer token"),
        Kind::InvalidZone => ("invalid_zone", "use a mandate of this service's zone"),
        Kind::Revoked | Kind::Suspended => {
            ("session_revoked", "the session has ended: a new one is needed")
        }
        Kind::DelegationStale => {
            ("delegation_stale", "exchange the session for a fresh mandate and try again")
        }
        Kind::HistoryIncomplete => {
            ("invalid_token", "exchange the session for a fresh mandate and try again")
        }
        Kind::UnsupportedVersion => (base.error, "use HTTP/1.1 or HTTP/2"),
        Kind::InsufficientScope => (base.error, "request a mandate with the required scope"),
        Kind::SessionRequired => (base.error, "request a mandate for a governed session"),
        Kind::DelegationRequired => (base.error, "request a mandate through a delegation"),
        Kind::ChainMismatch => (base.error, "request a mandate through the required application"),
        Kind::HopCountExceeded => (base.error, "request a mandate through fewer delegations"),
        Kind::AmbiguousPath => (base.error, "send the path in its shortest form"),
        Kind::NoRoute => (base.error, "ask the operator for a route with this path and method"),
        Kind::KeysUnavailable | Kind::UseUnknown | Kind::Unknown => {
            (base.error, "try again shortly; the session is not known to be revoked")
        }
        _ => (base.error, "request a new mandate for this service"),
    };
    Answer { error, hint: Some(hint), ..base }
}

/// Returns the answer of the STS layer: the gateway's, but a token that cannot be read is an
/// invalid request.
const fn sts(kind: RequestDenialKind) -> Answer {
    use RequestDenialKind as Kind;
    let base = gateway(kind);
    match kind {
        Kind::MalformedToken
        | Kind::MalformedPayload
        | Kind::MalformedJson
        | Kind::MalformedClaims => {
            invalid_request(StatusCode::BAD_REQUEST, "subject_token is not a mandate")
        }
        _ => base,
    }
}

/// Returns the answer of the policy layer. It never concerns the token.
#[cfg(feature = "opa")]
pub(crate) const fn policy(kind: PolicyDenialKind) -> Answer {
    use PolicyDenialKind as Kind;
    match kind {
        Kind::NotAdmitted | Kind::NoClaims | Kind::OtherState | Kind::NoZone | Kind::OtherZone => {
            forbidden("access_denied", "authority not established")
        }
        Kind::AmbiguousPath => invalid_request(StatusCode::BAD_REQUEST, AMBIGUOUS_PATH),
        Kind::Denied | Kind::NoPolicy => forbidden("access_denied", "denied by policy"),
        Kind::InvalidInput | Kind::PolicyUnusable | Kind::EvaluationFailed => {
            unavailable("policy state unavailable")
        }
    }
}

const fn invalid_token(description: &'static str) -> Answer {
    Answer {
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_token",
        description,
        hint: None,
        alert: None,
        names_error: true,
        retry_after: None,
    }
}

const fn forbidden(error: &'static str, description: &'static str) -> Answer {
    Answer { status: StatusCode::FORBIDDEN, error, ..invalid_token(description) }
}

const fn invalid_request(status: StatusCode, description: &'static str) -> Answer {
    Answer { status, error: "invalid_request", ..invalid_token(description) }
}

const fn unavailable(description: &'static str) -> Answer {
    Answer {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: "sts_unavailable",
        retry_after: Some(RETRY_OUTAGE),
        ..invalid_token(description)
    }
}

#[cfg(test)]
mod tests {
    use caracal_revocation_state::LONGEST_LIFETIME;

    use super::*;
    use crate::limits::{MAX_FORM, MAX_TOKEN};

    fn answers(profile: Profile) -> impl Iterator<Item = (RequestDenialKind, Answer)> {
        RequestDenialKind::ALL.into_iter().map(move |kind| (kind, profile.answer(kind)))
    }

    #[test]
    fn grpc_code_follows_from_the_status() {
        for (status, code) in [(401, 16), (403, 7), (503, 14), (400, 3), (413, 3), (505, 3)] {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer { status, ..Profile::Gateway.answer(RequestDenialKind::Revoked) };
            assert_eq!(answer.grpc_code(), code, "{status}");
        }
    }

    #[test]
    fn only_outages_and_incomplete_history_ask_to_retry() {
        use RequestDenialKind::{HistoryIncomplete, KeysUnavailable, Unknown, UseUnknown};
        for profile in [Profile::Gateway, Profile::Resource, Profile::Sts] {
            for (kind, answer) in answers(profile) {
                let is_outage = matches!(kind, KeysUnavailable | UseUnknown | Unknown);
                let retries = is_outage || kind == HistoryIncomplete;
                assert_eq!(answer.retry_after.is_some(), retries, "{kind:?}");
                let is_503 = answer.status == StatusCode::SERVICE_UNAVAILABLE;
                assert_eq!((is_503, answer.error == "sts_unavailable"), (is_outage, is_outage));
            }
        }
    }

    #[test]
    fn end_of_authority_and_unknown_state_raise_an_alert() {
        use RequestDenialKind::{DelegationStale, Revoked, Suspended, Unknown};
        for (kind, answer) in answers(Profile::Gateway) {
            let alert = match kind {
                Revoked | Suspended | DelegationStale => Some(Alert::Revoked),
                Unknown => Some(Alert::Stale),
                _ => None,
            };
            assert_eq!(answer.alert, alert, "{kind:?}");
            let names_error = kind != RequestDenialKind::MissingToken;
            assert_eq!(answer.names_error, names_error, "{kind:?}");
        }
    }

    #[test]
    fn resource_answers_with_its_own_errors_and_hints() {
        use RequestDenialKind as Kind;
        for (kind, status, error, hint) in [
            (Kind::MissingToken, 401, "missing_token", "send a mandate as a bearer token"),
            (Kind::InvalidZone, 401, "invalid_zone", "use a mandate of this service's zone"),
            (Kind::InvalidMandate, 401, "invalid_token", "request a new mandate"),
            (Kind::Revoked, 401, "session_revoked", "the session has ended"),
            (Kind::Suspended, 401, "session_revoked", "the session has ended"),
            (Kind::DelegationStale, 401, "delegation_stale", "exchange the session"),
            (Kind::HistoryIncomplete, 401, "invalid_token", "exchange the session"),
            (Kind::UnsupportedVersion, 505, "http_version_not_supported", "use HTTP/1.1 or HTTP/2"),
            (Kind::InsufficientScope, 403, "insufficient_scope", "request a mandate with"),
            (Kind::SessionRequired, 403, "session_required", "request a mandate for a governed"),
            (Kind::DelegationRequired, 403, "delegation_required", "request a mandate through a"),
            (Kind::ChainMismatch, 403, "chain_mismatch", "request a mandate through the"),
            (Kind::HopCountExceeded, 403, "hop_count_exceeded", "request a mandate through fewer"),
            (Kind::AmbiguousPath, 400, "invalid_request", "send the path in its shortest form"),
            (Kind::NoRoute, 403, "access_denied", "ask the operator"),
            (Kind::KeysUnavailable, 503, "sts_unavailable", "try again shortly"),
            (Kind::UseUnknown, 503, "sts_unavailable", "try again shortly"),
            (Kind::Unknown, 503, "sts_unavailable", "try again shortly"),
        ] {
            let answer = Profile::Resource.answer(kind);
            assert_eq!((answer.status.as_u16(), answer.error), (status, error), "{kind:?}");
            assert!(answer.hint.is_some_and(|own| own.starts_with(hint)), "{kind:?}: {answer:?}");
        }
    }

    #[test]
    fn sts_calls_an_unreadable_subject_token_a_bad_request() {
        use RequestDenialKind as Kind;
        for (kind, answer) in answers(Profile::Sts) {
            let is_unreadable = matches!(
                kind,
                Kind::MalformedToken
                    | Kind::MalformedPayload
                    | Kind::MalformedJson
                    | Kind::MalformedClaims
            );
            if is_unreadable {
                let status_and_error = (answer.status.as_u16(), answer.error);
                assert_eq!(status_and_error, (400, "invalid_request"), "{kind:?}");
            } else {
                assert_eq!(answer, Profile::Gateway.answer(kind));
            }
        }
        for (kind, status) in [
            (Kind::QueryParameters, 400),
            (Kind::UnsupportedBody, 415),
            (Kind::OversizedBody, 413),
            (Kind::StalledBody, 408),
            (Kind::BrokenBody, 400),
            (Kind::MalformedForm, 400),
            (Kind::RepeatedField, 400),
        ] {
            let answer = Profile::Sts.answer(kind);
            let status_and_error = (answer.status.as_u16(), answer.error);
            assert_eq!(status_and_error, (status, "invalid_request"), "{kind:?}");
        }
    }

    #[test]
    fn descriptions_state_the_limits_in_force() {
        let description = |kind| Profile::Gateway.answer(kind).description;
        let longest = description(RequestDenialKind::OversizedToken);
        assert_eq!(longest, format!("token exceeds {MAX_TOKEN} bytes"));
        let longest = description(RequestDenialKind::OversizedBody);
        assert_eq!(longest, format!("the body exceeds {MAX_FORM} bytes"));
        let (longest, minutes) =
            (description(RequestDenialKind::LifetimeTooLong), LONGEST_LIFETIME.as_secs() / 60);
        assert_eq!(longest, format!("token lives longer than {minutes} minutes"));
    }
}
