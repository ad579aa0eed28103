//! What is said of the streams: there, of the right type, of the intended length.

use caracal_revocation_admin::KeyReport;
use caracal_revocation_stream::InspectErrorKind;

use super::finding::Finding;
use super::gather::{Evidence, StreamEvidence};

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    evidence.streams.iter().flat_map(|stream| of_stream(stream, evidence)).collect()
}

fn of_stream(stream: &StreamEvidence, evidence: &Evidence) -> Vec<Finding> {
    let name = stream.layout.name;
    let report = match &stream.found {
        // A user need not be allowed to look at every stream.
        Err(error) if error.kind() == InspectErrorKind::NotAllowed => {
            return vec![Finding::fine("stream", format!("not to be told: {error}")).about(name)];
        }
        Err(error) => {
            return vec![
                Finding::broken("stream", error.to_string())
                    .about(name)
                    .why("nothing is known of this stream: a follower cannot read it either")
                    .then(error.advice()),
            ];
        }
        Ok(KeyReport::Missing) => {
            return vec![
                Finding::broken("stream", "missing")
                    .about(name)
                    .why("consumer groups of a missing stream fail with NOGROUP")
                    .then("caracal-streams provision; and is this the right Redis?"),
            ];
        }
        Ok(KeyReport::NoStream) => {
            return vec![
                Finding::broken("stream", "the key holds something that is no stream")
                    .about(name)
                    .why("nothing can be published there")
                    .then("find out who writes this key; is this the right Redis?"),
            ];
        }
        Ok(KeyReport::Stream(report)) => report,
    };
    let mut findings = vec![length(stream, report.length)];
    for group in stream.layout.groups {
        if !report.groups.iter().any(|present| present == group) {
            findings.push(
                Finding::broken("group", format!("the group {group} is missing"))
                    .about(name)
                    .why("its consumers fail with NOGROUP; made anew it begins at the end")
                    .then("caracal-streams provision"),
            );
        }
    }
    if let (Some(last), true) = (stream.last(), report.length > 0) {
        // An id ahead of the clock: the clock was set back, and ids count on from there.
        if last.ms > u64::try_from(evidence.now.as_millis()).unwrap_or(u64::MAX) + 1_000 {
            findings.push(
                Finding::warning("stream", format!("its last id {last} is ahead of Redis' clock"))
                    .about(name)
                    .why("the clock was set back: delays and ages read too small")
                    .then("see that the Redis machine keeps time by NTP"),
            );
        }
    }
    findings
}

fn length(stream: &StreamEvidence, length: u64) -> Finding {
    let seen = match stream.layout.intended_length {
        Some(intended) => format!("{length} entries, {intended} intended"),
        None => format!("{length} entries"),
    };
    if !stream.layout.is_over(length) {
        return Finding::fine("length", seen).about(stream.layout.name);
    }
    Finding::warning("length", seen)
        .about(stream.layout.name)
        .why("producers trim at about 100,000: a reader that is further behind loses entries")
        .then("see below whether a group stopped reading; caracal-streams retention plan")
}
