//! The findings about consumer groups: unread entries, stuck entries and lost consumers.

use std::time::Duration;

use caracal_revocation_admin::GroupReport;

use super::finding::Finding;
use super::gather::{Evidence, StreamEvidence};
use crate::text::{plain, span};

/// The age at which an entry counts as stuck. A live consumer claims entries idle for 30 s; after
/// twice that, no live consumer exists.
const STUCK: Duration = Duration::from_secs(60);
/// The idle time from which a consumer counts as gone.
const GONE: Duration = Duration::from_secs(5 * 60);

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let of_stream = |stream: &StreamEvidence| match &stream.groups {
        Ok(groups) => {
            let unread = groups.iter().filter(|group| !stream.is_read(group));
            let unread = unread.map(|group| of_unread_group(stream, group));
            let read = groups.iter().filter(|group| stream.is_read(group));
            read.flat_map(|group| of_group(stream, group, evidence))
                .chain(unread)
                .collect::<Vec<_>>()
        }
        Err(error) => {
            let seen = format!("unknown: {error}");
            vec![Finding::fine("group", seen).about(stream.layout.name)]
        }
    };
    evidence.streams.iter().flat_map(of_stream).collect()
}

fn of_group(stream: &StreamEvidence, group: &GroupReport, evidence: &Evidence) -> Vec<Finding> {
    let subject = format!("{} {}", stream.layout.name, plain(&group.name));
    let mut findings = Vec::new();
    findings.extend(unread(stream, group, evidence));
    findings.extend(pending(group));
    findings.extend(lost(group));
    findings.extend(consumers(group));
    if findings.is_empty() {
        let GroupReport { unread, pending, consumers, .. } = group;
        let last_active = consumers.iter().map(|consumer| consumer.idle).min();
        let last_active = last_active.map(|idle| format!(", last active {} ago", span(idle)));
        let (count, last_active) = (consumers.len(), last_active.unwrap_or_default());
        let seen = format!("{unread} unread, {pending} pending, {count} consumers{last_active}");
        findings.push(Finding::fine("group", seen));
    }
    findings.into_iter().map(|finding| finding.about(subject.clone())).collect()
}

/// Returns the finding about a group without a reader, in which unread entries are normal.
fn of_unread_group(stream: &StreamEvidence, group: &GroupReport) -> Finding {
    let seen = format!("{}: no service of Caracal reads this group", unread_text(group));
    Finding::fine("group", seen).about(format!("{} {}", stream.layout.name, plain(&group.name)))
}

/// Returns the number of unread entries as text.
pub(super) fn unread_text(group: &GroupReport) -> String {
    let more = if group.unread_at_least { "at least " } else { "" };
    format!("{more}{} unread", group.unread)
}

fn unread(stream: &StreamEvidence, group: &GroupReport, evidence: &Evidence) -> Option<Finding> {
    let waits = evidence.age(group.oldest_unread?);
    if waits < STUCK {
        return None;
    }
    let seen = format!("{}, the oldest for {}", unread_text(group), span(waits));
    let is_provisioned = stream.layout.groups.contains(&group.name.as_str());
    let next = match group.consumers.as_slice() {
        [] if is_provisioned => "the group has no consumer: start its service",
        [] => "the group has no consumer: start its service, or destroy the group if that is gone",
        _ => "its consumers are slow or stopped: check the log and the load of that service",
    };
    Some(
        Finding::warning("lag", seen)
            .why("the service has not acted on these messages yet")
            .then(next),
    )
}

fn pending(group: &GroupReport) -> Option<Finding> {
    let oldest = group.oldest_pending.as_ref()?;
    if oldest.idle < STUCK {
        return None;
    }
    let seen = format!(
        "{} pending; the oldest, {}, idle for {} after {} deliveries to {}",
        group.pending,
        oldest.id,
        span(oldest.idle),
        oldest.deliveries,
        plain(&oldest.consumer)
    );
    Some(
        Finding::warning("pending", seen)
            .why("live consumers claim entries idle for 30 s, so this group has no live consumer")
            .then("restart that service, and search its log for this id"),
    )
}

fn lost(group: &GroupReport) -> Option<Finding> {
    let lost = group.lost.filter(|lost| *lost > 0)?;
    let seen = format!("{lost} entries were trimmed before this group read them");
    Some(
        Finding::warning("lost", seen)
            .why("the service is not notified, and never acts on these messages")
            .then("reconcile that service with the database, then let it read the rest"),
    )
}

fn consumers(group: &GroupReport) -> Option<Finding> {
    let gone: Vec<_> = group
        .consumers
        .iter()
        .filter(|consumer| consumer.pending > 0 && consumer.idle >= GONE)
        .map(|consumer| {
            let name = plain(&consumer.name);
            format!("{name} ({} pending, idle for {})", consumer.pending, span(consumer.idle))
        })
        .collect();
    if gone.is_empty() {
        return None;
    }
    Some(
        Finding::warning("consumer", format!("gone with pending entries: {}", gone.join(", ")))
            .why("its entries wait until another consumer claims them")
            .then("start a consumer of the group; never delete one that holds pending entries"),
    )
}
