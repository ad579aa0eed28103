//! The result of one check.

use serde::Serialize;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Fine,
    Warning,
    Broken,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The name of the check, which programs match on.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// The stream, group, setting or right that the finding is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    /// The observation.
    pub(super) seen: String,
    /// The consequence of the observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<&'static str>,
    /// The next step for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl Finding {
    pub(super) fn fine(check: &'static str, seen: impl Into<String>) -> Self {
        let (subject, why, next) = (None, None, None);
        Self { check, level: Level::Fine, subject, seen: seen.into(), why, next }
    }

    pub(super) fn warning(check: &'static str, seen: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::fine(check, seen) }
    }

    pub(super) fn broken(check: &'static str, seen: impl Into<String>) -> Self {
        Self { level: Level::Broken, ..Self::fine(check, seen) }
    }

    pub(super) fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    pub(super) fn why(self, why: &'static str) -> Self {
        Self { why: Some(why), ..self }
    }

    pub(super) fn then(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}
