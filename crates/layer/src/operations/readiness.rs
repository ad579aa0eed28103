//! The answer of `/health` and `/ready`, which `/status` and the page show too.

use caracal_revocation_state::{Degraded, NotReady, OutageCause, Readiness, UnknownCause};
use serde::Serialize;

/// The JSON body of `/health` and `/ready`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) degraded: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) staleness_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) horizon: Option<i64>,
}

impl Report {
    /// Returns the report of a process that answers.
    pub(super) fn alive() -> Self {
        Self { status: "alive", ..Self::default() }
    }

    /// Returns the report of this readiness, or of the condition that does not hold.
    pub(super) fn of(readiness: &Readiness, unmet: Option<&'static str>) -> Self {
        let reason = readiness.unready.map(UnknownCause::label).or(unmet);
        Self {
            status: if reason.is_none() { "ready" } else { "unready" },
            reason,
            degraded: readiness.degraded.map(Degraded::label),
            advice: advice(readiness),
            outage: readiness.outage.map(OutageCause::label),
            staleness_seconds: readiness.staleness.map(|age| age.as_secs_f64()),
            horizon: readiness.horizon,
        }
    }
}

/// Returns the advice about the first problem: no history, unreadable streams, an alarm.
fn advice(readiness: &Readiness) -> Option<&'static str> {
    match (readiness.unready, readiness.outage, readiness.degraded) {
        // An outage of Redis is the reason why the history is not read.
        (Some(UnknownCause::NotReady(NotReady::Replaying)), Some(outage), _) => {
            Some(outage.advice())
        }
        (Some(UnknownCause::NotReady(why)), ..) => Some(why.advice()),
        (_, Some(outage), _) => Some(outage.advice()),
        (.., degraded) => degraded.map(Degraded::advice),
    }
}
