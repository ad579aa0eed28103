//! What is said of the consumer groups: who reads, how far behind, what is stuck.

use std::time::Duration;

use caracal_revocation_admin::GroupReport;

use super::finding::Finding;
use super::gather::{Evidence, StreamEvidence};
use crate::text::{plain, span};

/// Entries idle for 30 s are claimed by whoever is alive: twice that, and nobody is.
const STUCK: Duration = Duration::from_secs(60);
/// A consumer that asked for nothing for so long is gone.
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
            let seen = format!("not to be told: {error}");
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
        let heard = consumers.iter().map(|consumer| consumer.idle).min();
        let heard = heard.map(|idle| format!(", last heard of {} ago", span(idle)));
        let (count, heard) = (consumers.len(), heard.unwrap_or_default());
        let seen = format!("{unread} unread, {pending} pending, {count} consumers{heard}");
        findings.push(Finding::fine("group", seen));
    }
    findings.into_iter().map(|finding| finding.about(subject.clone())).collect()
}

/// No service of Caracal reads it, and nobody else does: it only grows.
fn of_unread_group(stream: &StreamEvidence, group: &GroupReport) -> Finding {
    let seen = format!("{}: no service of Caracal reads this group", unread_words(group));
    Finding::fine("group", seen).about(format!("{} {}", stream.layout.name, plain(&group.name)))
}

/// How many were never delivered, as counted.
pub(super) fn unread_words(group: &GroupReport) -> String {
    let more = if group.unread_at_least { "at least " } else { "" };
    format!("{more}{} unread", group.unread)
}

fn unread(stream: &StreamEvidence, group: &GroupReport, evidence: &Evidence) -> Option<Finding> {
    let waits = evidence.age(group.oldest_unread?);
    if waits < STUCK {
        return None;
    }
    let seen = format!("{}, the oldest for {}", unread_words(group), span(waits));
    let is_provisioned = stream.layout.groups.contains(&group.name.as_str());
    let next = match group.consumers.as_slice() {
        [] if is_provisioned => "nobody is in this group: start its service",
        [] => "nobody is in this group: start its service, or destroy the group if that is gone",
        _ => "its consumers are behind or stopped: look at that service's log and load",
    };
    Some(
        Finding::warning("lag", seen)
            .why("what its service does about these messages has not happened yet")
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
            .why("entries idle for 30 s are claimed by whoever is alive: here nobody does")
            .then("restart that service, and look in its log for this id"),
    )
}

fn lost(group: &GroupReport) -> Option<Finding> {
    let lost = group.lost.filter(|lost| *lost > 0)?;
    let seen = format!("{lost} entries were trimmed before this group read them");
    Some(
        Finding::warning("lost", seen)
            .why("nothing in the protocol tells the group: what they asked for did not happen")
            .then("reconcile that service with the database, then let it catch up"),
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
        Finding::warning("consumer", format!("gone with entries in hand: {}", gone.join(", ")))
            .why("its entries wait until another consumer claims them")
            .then("start a consumer of the group; never delete one that holds pending entries"),
    )
}
