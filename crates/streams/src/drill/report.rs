//! The report of one drill, as JSON for programs and as text for people.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use super::observe::{Progress, Replica, State};
use super::stage::Stage;
use crate::outcome::{Failure, Outcome};
use crate::text::{plain, span};

/// The result of a drill. Its JSON is stable for programs: fields may be added, and none is
/// renamed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// `true` if every stage was within the bound, and no replica or service is missing.
    pub(super) within: bool,
    /// The stages that failed.
    pub(super) failed: BTreeSet<Stage>,
    pub(super) bound_seconds: f64,
    /// The message, as `STREAM/ID`.
    pub(super) message: String,
    /// The anchor that it revokes.
    pub(super) anchor: String,
    /// The time from sending the message until Redis confirmed it.
    pub(super) published_seconds: f64,
    /// The minimum number of replicas.
    pub(super) expected: usize,
    pub(super) replicas: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) services: Vec<ServiceReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probe: Option<ProbeReport>,
}

/// The result of one replica.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub(super) replica: String,
    pub(super) state: State,
    /// The time from sending the message until the replica applied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) applied_seconds: Option<f64>,
}

/// The answer of a service to `/ready`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ServiceReport {
    pub(super) url: String,
    pub(super) ready: bool,
    /// The reason that it is not ready, or gives no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// The answers of a service to the token that was revoked.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProbeReport {
    pub(super) url: String,
    /// The time from sending the message until the service denied the token as revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) denied_seconds: Option<f64>,
    /// The last answer, or the reason that there is none.
    pub(super) answer: String,
}

/// The results of all stages, before they are compared with the bound.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) message: String,
    pub(super) anchor: String,
    pub(super) published: Duration,
    pub(super) expected: usize,
    pub(super) replicas: Vec<Replica>,
    pub(super) services: Vec<ServiceReport>,
    pub(super) probe: Option<ProbeReport>,
}

impl Report {
    /// Compares each stage with the bound.
    pub(super) fn of(results: Results, within: Duration) -> Self {
        let line = |replica: &Replica| Line {
            replica: replica.name.clone(),
            state: replica.state(within),
            applied_seconds: match replica.progress {
                Progress::Applied(after) => Some(after.as_secs_f64()),
                _ => None,
            },
        };
        let replicas: Vec<_> = results.replicas.iter().map(line).collect();
        let has = |is: fn(State) -> bool| replicas.iter().any(|line| is(line.state));
        let is_slow = |seconds: f64| seconds > within.as_secs_f64();
        let is_slow_probe = |probe: &ProbeReport| probe.denied_seconds.is_none_or(is_slow);
        let failures = [
            (Stage::Published, results.published > within),
            (
                Stage::Applied,
                has(|state| matches!(state, State::Late | State::NotApplied | State::Skipped)),
            ),
            (
                Stage::Present,
                replicas.len() < results.expected || has(|state| state == State::Gone),
            ),
            (
                Stage::Ready,
                has(|state| state == State::NotReady)
                    || results.services.iter().any(|service| !service.ready),
            ),
            (Stage::Denied, results.probe.as_ref().is_some_and(is_slow_probe)),
        ];
        let failed: BTreeSet<_> =
            failures.into_iter().filter(|(_, has_failed)| *has_failed).map(|(s, _)| s).collect();
        Self {
            within: failed.is_empty(),
            failed,
            bound_seconds: within.as_secs_f64(),
            message: results.message,
            anchor: results.anchor,
            published_seconds: results.published.as_secs_f64(),
            expected: results.expected,
            replicas,
            services: results.services,
            probe: results.probe,
        }
    }

    pub(super) const fn outcome(&self) -> Outcome {
        if self.within { Outcome::Ok } else { Outcome::Negative }
    }

    /// Writes one line for each stage, replica and service, and a verdict.
    pub(super) fn write(&self, out: &mut impl Write) -> Result<(), Failure> {
        let published = seconds(self.published_seconds);
        let late = if self.failed.contains(&Stage::Published) { "LATE: " } else { "" };
        writeln!(out, "{}: {late}published after {published}", self.message)?;
        for line in &self.replicas {
            writeln!(out, "{}: {}", plain(&line.replica), line.text())?;
        }
        for service in &self.services {
            let reason = service.reason.as_deref().map(plain).unwrap_or_default();
            let ready = if service.ready { "ready" } else { "NOT READY: " };
            writeln!(out, "{}: {ready}{reason}", plain(&service.url))?;
        }
        if let Some(probe) = &self.probe {
            let answer = plain(&probe.answer);
            let verdict = match probe.denied_seconds {
                None => "NOT denied as revoked; the last answer is ".to_owned(),
                Some(after) => {
                    let late = if self.failed.contains(&Stage::Denied) { "LATE: " } else { "" };
                    format!("{late}denied after {}: ", seconds(after))
                }
            };
            writeln!(out, "{}: {verdict}{answer}", plain(&probe.url))?;
        }
        Ok(writeln!(out, "{}", self.verdict())?)
    }

    /// Returns the verdict as one line.
    pub(super) fn verdict(&self) -> String {
        let good = self.replicas.iter().filter(|line| line.state == State::Applied).count();
        let all = self.replicas.len().max(self.expected);
        let bound = seconds(self.bound_seconds);
        let failed: Vec<_> = self.failed.iter().map(|stage| stage.label()).collect();
        let verdict = if self.within { "ok".to_owned() } else { failed.join(", ") };
        let prefix = if self.within { "" } else { "FAILED: " };
        let replicas = if all == 1 { "replica" } else { "replicas" };
        format!("{good} of {all} {replicas} within {bound}: {prefix}{verdict}")
    }

    /// Returns the slowest replica that applied the message, and its delay in seconds.
    pub(super) fn slowest(&self) -> Option<(&str, f64)> {
        let applied = self.replicas.iter().filter_map(|line| {
            line.applied_seconds.map(|seconds| (line.replica.as_str(), seconds))
        });
        applied.max_by(|one, other| one.1.total_cmp(&other.1))
    }
}

impl Line {
    fn text(&self) -> String {
        let after = self.applied_seconds.map(seconds).unwrap_or_default();
        match self.state {
            State::Applied => format!("applied after {after}"),
            State::Late => format!("LATE: applied after {after}"),
            State::NotReady => format!("NOT READY, applied after {after}"),
            State::NotApplied => "NOT applied: it has not read the message; check that it runs, \
                                  and its connection to Redis"
                .to_owned(),
            State::Skipped => "NOT applied: it read the message and rejected it (another \
                               STREAMS_HMAC_KEY?), or it was starting; run the drill again"
                .to_owned(),
            State::Gone => "GONE: it wrote no receipt for 15 s".to_owned(),
        }
    }
}

/// Formats seconds that were computed from a `Duration`.
pub(super) fn seconds(seconds: f64) -> String {
    span(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
