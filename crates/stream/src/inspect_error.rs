//! Why a question was not answered.

use caracal_revocation_state::OutageCause;

use crate::advice;
use crate::log_error::LogError;

/// Redis did not answer an operator's question, or not as expected. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct InspectError {
    kind: InspectErrorKind,
    words: String,
    advice: String,
}

/// The kinds of failure, for a program to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InspectErrorKind {
    /// No connection, or no answer in time: `REDIS_URL`, `REDIS_SENTINELS`, or
    /// `REDIS_HOST` and `REDIS_PORT`.
    Unreachable,
    /// The login was refused, or one is needed: the password, or the user in `REDIS_URL`.
    Login,
    /// The user may not do this: its ACL lacks a right.
    NotAllowed,
    /// The key holds something that is no stream.
    NoStream,
    /// The server is older than 7.0.
    Version,
    /// Anything else that Redis refused, or an answer that cannot be read.
    Other,
}

impl InspectError {
    /// The kind of failure.
    #[must_use]
    pub const fn kind(&self) -> InspectErrorKind {
        self.kind
    }

    /// The action that ends it, which names the setting where one is at fault.
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
        Self { kind, words: error.to_string(), advice }
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
