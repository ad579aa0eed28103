//! How a command ends: with an outcome, or with the reason that there is none.

use std::fmt;
use std::io;
use std::process::ExitCode;

use caracal_revocation_stream::{InspectError, PublishError, SettingsError};

/// The result of a command that could do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Exit code 0: as it should be, or done.
    Ok,
    /// Exit code 1: not quite, or "no".
    Negative,
    /// Exit code 2: broken.
    Error,
    /// Ended by this signal, after cleaning up: the exit code that a shell gives such an end.
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

/// The reason that a command could not do what it was asked, and the setting at fault: exit code 2.
/// Never holds a secret.
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

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error.to_string())
    }
}
