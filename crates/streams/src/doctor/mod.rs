//! `doctor`: connects as a consumer would, and reports problems with their remedy.

mod finding;
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

use self::finding::{Finding, Level};
use self::gather::{Evidence, gather};
use self::symptoms::Symptom;
use crate::cli::DoctorArgs;
use crate::outcome::{Failure, Outcome};
use crate::settings::Sources;

/// The result of all checks.
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
) -> Result<Outcome, Failure> {
    let server = sources.server()?;
    let diagnosis = match gather(&server, sources).await {
        Ok(evidence) => diagnose(&evidence, args.may_publish),
        Err(error) => Diagnosis::of(vec![server::unreachable(&error)], Vec::new()),
    };
    if args.json {
        serde_json::to_writer(&mut *out, &diagnosis)?;
        writeln!(out)?;
    } else {
        report::write(&diagnosis.findings, &diagnosis.symptoms, args.verbose, out)?;
    }
    Ok(match diagnosis.level {
        Level::Fine => Outcome::Ok,
        Level::Warning => Outcome::Negative,
        Level::Broken => Outcome::Error,
    })
}

/// Returns the findings and symptoms that follow from the evidence. Pure.
fn diagnose(evidence: &Evidence, may_publish: bool) -> Diagnosis {
    let mut findings = server::check(&evidence.server, evidence.at_primary.is_some());
    findings.extend(rights::check(evidence, may_publish));
    findings.extend(streams::check(evidence));
    findings.extend(groups::check(evidence));
    findings.extend(follower::check(evidence));
    Diagnosis::of(findings, symptoms::check(evidence))
}

impl Diagnosis {
    fn of(findings: Vec<Finding>, symptoms: Vec<Symptom>) -> Self {
        let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Fine);
        Self { level, findings, symptoms }
    }
}
