//! The diagnosis as text for people.

use std::io::Write;

use super::{Diagnosis, Finding, Level};
use crate::failure::Failure;
use crate::text::plain;

pub(super) fn write(diagnosis: &Diagnosis, out: &mut impl Write) -> Result<(), Failure> {
    for finding in &diagnosis.findings {
        write_finding(finding, out)?;
    }
    for symptom in &diagnosis.symptoms {
        let seen = if symptom.seen { "SEEN" } else { "not seen" };
        writeln!(out, "\nSymptom: {} ({seen})", symptom.title)?;
        for evidence in &symptom.evidence {
            writeln!(out, "  sees  {}", plain(evidence))?;
        }
        for next in &symptom.next {
            writeln!(out, "  do    {next}")?;
        }
    }
    let count = |level| diagnosis.findings.iter().filter(|finding| finding.level == level).count();
    let (broken, warnings) = (count(Level::Broken), count(Level::Warning));
    let verdict = match diagnosis.level {
        Level::Fine => "all is fine".to_owned(),
        _ => format!("{broken} broken, {warnings} warnings"),
    };
    writeln!(out, "\n{verdict}")?;
    Ok(())
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
