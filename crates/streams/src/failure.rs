//! Why a command could not do what it was asked, and which setting is at fault.

use std::fmt;
use std::io;

use caracal_revocation_stream::{InspectError, InspectErrorKind, PublishError, SettingsError};

/// A command failed: exit code 2. Never holds a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    words: String,
    pipe: bool,
}

impl Failure {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), pipe: false }
    }

    /// Whether the reader of the output went away, which is no failure of ours.
    pub(crate) const fn is_closed_pipe(&self) -> bool {
        self.pipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { pipe: error.kind() == io::ErrorKind::BrokenPipe, words: error.to_string() }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        let hint = match error.kind() {
            InspectErrorKind::Unreachable => {
                "check REDIS_URL, REDIS_SENTINELS, REDIS_CLUSTER_NODES, or REDIS_HOST and REDIS_PORT"
            }
            InspectErrorKind::Login => "check REDIS_PASSWORD or REDIS_PASSWORD_FILE, or REDIS_URL",
            InspectErrorKind::NotAllowed => "the user of REDIS_URL lacks a right: see its ACL",
            InspectErrorKind::NoStream => "another program uses this key, or this is another Redis",
            _ => return Self::new(error.to_string()),
        };
        Self::new(format!("{error}; {hint}"))
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() { io::Error::from(error).into() } else { Self::new(error.to_string()) }
    }
}
