//! The diagnosis as text for people.

use std::io::Write;

use super::finding::{Finding, Level};
use super::symptoms::Symptom;
use crate::outcome::Failure;
use crate::text::plain;

/// The areas of the report. If all checks of an area are fine, it gets one line.
const AREAS: [&str; 4] = ["server", "rights", "streams", "messages"];

/// Returns the area of a check.
fn area(check: &str) -> &'static str {
    match check {
        "connection" | "replica" | "persistence" | "memory" | "append_only_file" | "clock" => {
            "server"
        }
        "rights" => "rights",
        "stream" | "length" | "group" | "lag" | "pending" | "lost" | "consumer" => "streams",
        _ => "messages",
    }
}

/// Writes each finding that is not fine, and one line for each area without such a finding. With
/// `verbose`, writes every finding.
pub(super) fn write(
    findings: &[Finding],
    symptoms: &[Symptom],
    verbose: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    for area in AREAS {
        let about: Vec<_> =
            findings.iter().filter(|finding| self::area(finding.check) == area).collect();
        let shown = |finding: &&&Finding| verbose || finding.level != Level::Fine;
        for finding in about.iter().filter(shown) {
            write_finding(finding, out)?;
        }
        if !verbose && !about.is_empty() && about.iter().all(|it| it.level == Level::Fine) {
            writeln!(out, "{:8} {area:14} {}", "fine", summary(&about))?;
        }
    }
    for symptom in symptoms.iter().filter(|symptom| verbose || symptom.seen) {
        let seen = if symptom.seen { "SEEN" } else { "not seen" };
        writeln!(out, "\nSymptom: {} ({seen})", symptom.title)?;
        for evidence in &symptom.evidence {
            writeln!(out, "  sees  {}", plain(evidence))?;
        }
        for next in &symptom.next {
            writeln!(out, "  do    {next}")?;
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let verdict = match (count(Level::Broken), count(Level::Warning)) {
        (0, 0) => "all is fine".to_owned(),
        (broken, warnings) => format!("{broken} broken, {warnings} warnings"),
    };
    let more = if verbose { "" } else { "; --verbose shows every check" };
    writeln!(out, "{verdict}{more}")?;
    Ok(())
}

/// Returns the text of an area's first finding, and the number of the others.
fn summary(findings: &[&Finding]) -> String {
    let Some(first) = findings.first() else { return String::new() };
    let subject = first.subject.as_deref().map(|subject| format!("{subject}: "));
    let first = format!("{}{}", subject.unwrap_or_default(), plain(&first.seen));
    match findings.len() {
        1 => first,
        count => format!("{first} (and {} more)", count - 1),
    }
}

fn write_finding(finding: &Finding, out: &mut impl Write) -> Result<(), Failure> {
    let level = match finding.level {
        Level::Fine => "fine",
        Level::Warning => "WARNING",
        Level::Broken => "BROKEN",
    };
    let subject = finding.subject.as_deref().map(|subject| format!("{subject}: "));
    let subject = subject.unwrap_or_default();
    writeln!(out, "{level:8} {:14} {subject}{}", finding.check, plain(&finding.seen))?;
    if finding.level == Level::Fine {
        return Ok(());
    }
    if let Some(why) = finding.why {
        writeln!(out, "{:23} why: {why}", "")?;
    }
    if let Some(next) = &finding.next {
        writeln!(out, "{:23} do:  {next}", "")?;
    }
    Ok(())
}
