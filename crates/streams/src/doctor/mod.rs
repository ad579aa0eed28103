//! `doctor`: connects as a consumer would, and explains what it finds.

mod follower;
mod gather;
mod groups;
mod report;
mod rights;
mod server;
mod streams;
mod symptoms;

use std::io::Write;

use serde::Serialize;

use self::gather::{Evidence, gather};
use self::symptoms::Symptom;
use crate::answer::Answer;
use crate::cli::DoctorArgs;
use crate::failure::Failure;
use crate::settings::Sources;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Fine,
    Warning,
    Broken,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at, a name for programs to match.
    check: &'static str,
    level: Level,
    /// The stream, group, setting or right that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    seen: String,
    /// Why it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What the doctor says.
#[derive(Debug, Serialize)]
struct Diagnosis {
    level: Level,
    findings: Vec<Finding>,
    symptoms: Vec<Symptom>,
}

pub(crate) async fn doctor(
    sources: &Sources,
    args: &DoctorArgs,
    out: &mut impl Write,
) -> Result<Answer, Failure> {
    let server = sources.server()?;
    let diagnosis = match gather(&server, sources).await {
        Ok(evidence) => diagnose(&evidence, args.may_publish),
        Err(error) => Diagnosis::of(vec![server::unreachable(&error)], Vec::new()),
    };
    if args.json {
        serde_json::to_writer(&mut *out, &diagnosis)?;
        writeln!(out)?;
    } else {
        report::write(&diagnosis, out)?;
    }
    Ok(match diagnosis.level {
        Level::Fine => Answer::Fine,
        Level::Warning => Answer::Not,
        Level::Broken => Answer::Broken,
    })
}

/// Everything that follows from the evidence. Pure.
fn diagnose(evidence: &Evidence, may_publish: bool) -> Diagnosis {
    let mut findings = server::look(&evidence.server, evidence.at_primary.is_some());
    findings.extend(rights::look(evidence, may_publish));
    findings.extend(streams::look(evidence));
    findings.extend(groups::look(evidence));
    findings.extend(follower::look(evidence));
    Diagnosis::of(findings, symptoms::look(evidence))
}

impl Diagnosis {
    fn of(findings: Vec<Finding>, symptoms: Vec<Symptom>) -> Self {
        let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Fine);
        Self { level, findings, symptoms }
    }
}

impl Finding {
    fn fine(check: &'static str, seen: impl Into<String>) -> Self {
        let (subject, why, next) = (None, None, None);
        Self { check, level: Level::Fine, subject, seen: seen.into(), why, next }
    }

    fn warning(check: &'static str, seen: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::fine(check, seen) }
    }

    fn broken(check: &'static str, seen: impl Into<String>) -> Self {
        Self { level: Level::Broken, ..Self::fine(check, seen) }
    }

    fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    fn why(self, why: &'static str) -> Self {
        Self { why: Some(why), ..self }
    }

    fn then(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}
