//! The error of an operator's question to Redis.

use caracal_revocation_state::OutageCause;

use crate::advice;
use crate::log_error::LogError;

/// The error of a question to Redis that was not answered, or not as expected. It never contains a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InspectError {
    kind: InspectErrorKind,
    message: String,
    advice: String,
}

/// The kinds of failure, for programs to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InspectErrorKind {
    /// No connection, or no answer in time. Check `REDIS_URL`, `REDIS_SENTINELS`, or `REDIS_HOST`
    /// and `REDIS_PORT`.
    Unreachable,
    /// The login failed, or one is required. Check the password, or the user in `REDIS_URL`.
    Login,
    /// The user's ACL lacks a right.
    NotAllowed,
    /// The key holds a value that is not a stream.
    NoStream,
    /// The server is older than 7.0.
    Version,
    /// Any other error of Redis, or an answer that cannot be parsed.
    Other,
}

impl InspectError {
    /// Returns the kind of failure.
    #[must_use]
    pub const fn kind(&self) -> InspectErrorKind {
        self.kind
    }

    /// Returns the action that solves the problem, with the setting to check.
    #[must_use]
    pub fn advice(&self) -> &str {
        &self.advice
    }
}

impl From<LogError> for InspectError {
    fn from(error: LogError) -> Self {
        let kind = kind(&error);
        let advice = match (kind, error.missing_rights()) {
            (_, Some(rights)) => format!("ACL SETUSER <user> {rights}"),
            (InspectErrorKind::Version, _) => {
                "upgrade Redis: versions before 7.0 cannot prove a stream complete".to_owned()
            }
            (InspectErrorKind::NoStream, _) => {
                "another program uses this key, or this is the wrong Redis: check REDIS_URL"
                    .to_owned()
            }
            _ => advice::of(&error).to_owned(),
        };
        Self { kind, message: error.to_string(), advice }
    }
}

fn kind(error: &LogError) -> InspectErrorKind {
    match error.outage() {
        OutageCause::Timeout
        | OutageCause::Unreachable
        | OutageCause::Tls
        | OutageCause::NoPrimary => InspectErrorKind::Unreachable,
        OutageCause::Login => InspectErrorKind::Login,
        OutageCause::Forbidden => InspectErrorKind::NotAllowed,
        OutageCause::Version => InspectErrorKind::Version,
        OutageCause::Reply if matches!(error, LogError::Redis(_)) => InspectErrorKind::NoStream,
        _ => InspectErrorKind::Other,
    }
}
