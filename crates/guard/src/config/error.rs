//! A setting that cannot be used.

use std::fmt;

/// An error that names the setting. Its text never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    setting: String,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(setting: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { setting: setting.into(), problem: problem.to_string() }
    }

    /// Creates an error from one of the library, whose text begins with the name of the setting.
    pub(crate) fn of(setting: &str, error: &impl fmt::Display) -> Self {
        let text = error.to_string();
        let problem = text.strip_prefix(setting).and_then(|text| text.strip_prefix(": "));
        Self::new(setting, problem.unwrap_or(&text))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl std::error::Error for ConfigError {}
