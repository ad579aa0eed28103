//! The events of the trial, one line each: answers, revocations and cuts.

use std::fmt;
use std::time::Duration;

use caracal_revocation::gateway::CutReport;
use http::{Method, StatusCode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Something that happened in the trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// A request was answered. A denial has its reason.
    Answered {
        status: StatusCode,
        method: Method,
        path: String,
        denied: Option<&'static str>,
    },
    Revoked {
        session: String,
    },
    /// A running response was cut, this long after the revocation.
    Cut {
        part: &'static str,
        reason: &'static str,
        after: Option<Duration>,
    },
}

/// Creates the channel of the events. Sending never blocks.
pub(super) fn channel() -> (UnboundedSender<Activity>, UnboundedReceiver<Activity>) {
    unbounded_channel()
}

impl Activity {
    pub(super) fn cut(report: &CutReport<'_>, after: Option<Duration>) -> Self {
        Self::Cut { part: report.part.label(), reason: report.cut.label(), after }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, method, path, denied } => {
                let reason = denied.map(|reason| format!(" {reason}")).unwrap_or_default();
                write!(f, "{:<8} {method} {path}{reason}", status.as_u16())
            }
            Self::Revoked { session } => write!(f, "{:<8} {session}", "revoked"),
            Self::Cut { part, reason, after } => {
                write!(f, "{:<8} {part}: {reason}", "cut")?;
                match after {
                    Some(after) => write!(f, ", after {}", milliseconds(*after)),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Writes a duration in milliseconds.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
