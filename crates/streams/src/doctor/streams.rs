//! The findings about the streams: existence, type, groups and length.

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
        // A user may lack the right to inspect every stream.
        Err(error) if error.kind() == InspectErrorKind::NotAllowed => {
            return vec![Finding::fine("stream", format!("unknown: {error}")).about(name)];
        }
        Err(error) => {
            return vec![
                Finding::broken("stream", error.to_string())
                    .about(name)
                    .why("the state of this stream is unknown: a follower cannot read it either")
                    .then(error.advice()),
            ];
        }
        Ok(KeyReport::Missing) => {
            return vec![
                Finding::broken("stream", "missing")
                    .about(name)
                    .why("consumer groups of a missing stream fail with NOGROUP")
                    .then("run caracal-streams provision; is this the right Redis?"),
            ];
        }
        Ok(KeyReport::NoStream) => {
            return vec![
                Finding::broken("stream", "the key holds another type: it is no stream")
                    .about(name)
                    .why("no message can be published to it")
                    .then("find the client that writes this key; is this the right Redis?"),
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
                    .why("its consumers fail with NOGROUP; a new group begins at the stream's end")
                    .then("run caracal-streams provision"),
            );
        }
    }
    if let (Some(last), true) = (stream.last(), report.length > 0) {
        // The clock was set back: ids continue from the last one.
        if last.ms > u64::try_from(evidence.now.as_millis()).unwrap_or(u64::MAX) + 1_000 {
            findings.push(
                Finding::warning("stream", format!("its last id {last} is ahead of Redis' clock"))
                    .about(name)
                    .why("the clock was set back: delays and ages appear too small")
                    .then("check that the Redis machine synchronizes its clock by NTP"),
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
        .why("producers trim at about 100,000 entries: a reader that is further behind loses some")
        .then("check below if a group stopped reading; then run caracal-streams retention plan")
}
