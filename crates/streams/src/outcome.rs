//! The end of a command: an outcome, or a failure with its reason.

use std::fmt;
use std::io;
use std::process::ExitCode;

use caracal_revocation_stream::{BaselineError, InspectError, PublishError, SettingsError};

/// The result of a command that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Exit code 0: fine, yes or done.
    Ok,
    /// Exit code 1: no, or a warning.
    Negative,
    /// Exit code 2: broken, or no answer.
    Error,
    /// Ended by this signal after a cleanup. Exit code: 128 plus the signal's number, as in shells.
    Signal(u8),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Ok => 0,
            Outcome::Negative => 1,
            Outcome::Error => 2,
            Outcome::Signal(number) => 128 + number,
        })
    }
}

/// The reason that a command could not be carried out, with the setting at fault: exit code 2.
/// Never contains a secret.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        Self::new(format!("{error}; {}", error.advice()))
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<BaselineError> for Failure {
    fn from(error: BaselineError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error.to_string())
    }
}
