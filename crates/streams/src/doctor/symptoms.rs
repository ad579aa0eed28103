//! The four symptoms that operators know, and the evidence for each.

use std::time::Duration;

use caracal_revocation_event::Stream;
use serde::Serialize;

use super::gather::{Evidence, StreamEvidence};
use super::groups::unread_text;
use crate::text::{plain, span};

/// A symptom, the evidence for it and the next steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Symptom {
    /// Its name, which programs match on.
    symptom: &'static str,
    pub(super) title: &'static str,
    /// `true` if the evidence shows the symptom.
    pub(super) seen: bool,
    pub(super) evidence: Vec<String>,
    pub(super) next: Vec<&'static str>,
}

/// The age up to which an entry counts as recent.
const RECENT: Duration = Duration::from_secs(60 * 60);
/// The time to Redis from which a revocation counts as late: producers poll their outboxes every
/// second.
const LATE: Duration = Duration::from_secs(5);
const BEHIND: Duration = Duration::from_secs(10);

pub(super) fn check(evidence: &Evidence) -> Vec<Symptom> {
    vec![
        audit_dead_letters(evidence),
        policy_without_effect(evidence),
        revocation_delayed(evidence),
        too_long(evidence),
    ]
}

fn audit_dead_letters(evidence: &Evidence) -> Symptom {
    let mut seen = Vec::new();
    let mut grows = false;
    if let Some(dlq) = evidence.stream("caracal.audit.events.dlq") {
        let age = dlq.last().map(|last| evidence.age(last));
        grows = age.is_some_and(|age| age < RECENT);
        let last =
            age.map_or("it is empty".to_owned(), |age| format!("the last from {} ago", span(age)));
        seen.push(format!("caracal.audit.events.dlq has {} entries, {last}", dlq.length()));
        seen.extend(readers(dlq, evidence));
    }
    let audit = evidence.stream("caracal.audit.events");
    seen.extend(audit.into_iter().flat_map(|audit| readers(audit, evidence)));
    Symptom {
        symptom: "audit_dead_letters_grow",
        title: "the audit dead-letter stream grows",
        seen: grows,
        evidence: seen,
        next: vec![
            "check the Audit service's log: this stream holds the events that its database rejects",
            "read the newest entries: XREVRANGE caracal.audit.events.dlq + - COUNT 5",
            "once Audit writes again, replay them with its own dead-letter tooling",
        ],
    }
}

fn policy_without_effect(evidence: &Evidence) -> Symptom {
    let stream = Stream::PolicyInvalidate;
    let mut seen = Vec::new();
    let mut is_seen = false;
    if let Some(found) = evidence.stream(stream.name()) {
        seen.push(match found.last() {
            Some(last) => format!("the last invalidation is {} old", span(evidence.age(last))),
            None => "no invalidation is in the stream: was the change activated?".to_owned(),
        });
        // A user who may only follow may not list the groups.
        is_seen |= found
            .groups
            .as_ref()
            .is_ok_and(|groups| groups.iter().all(|group| group.name != "opa-engine"));
        is_seen |= is_behind(found, evidence);
        seen.extend(readers(found, evidence));
    }
    if let Some(outcomes) =
        evidence.replay.as_ref().ok().and_then(|it| it.streams.get(stream.index()))
    {
        let (bad, unusable) = (outcomes.bad_signatures, outcomes.unusable);
        seen.push(format!(
            "{} applied, {} rejected in the last day",
            outcomes.applied,
            bad + unusable
        ));
        is_seen |= bad + unusable > 0;
    }
    Symptom {
        symptom: "policy_without_effect",
        title: "policy changes don't take effect",
        seen: is_seen,
        evidence: seen,
        next: vec![
            "publish the change again: caracal-streams publish policy --zone ZONE",
            "check that caracal-streams watch shows it, and that the service's policy age falls",
            "rejected messages: the API signs with another STREAMS_HMAC_KEY than the services have",
            "applied and still old: the service cannot load the bundle; check its log",
        ],
    }
}

fn revocation_delayed(evidence: &Evidence) -> Symptom {
    let mut seen = Vec::new();
    let mut is_seen = false;
    for stream in [Stream::SessionsRevoke, Stream::AgentsLifecycle, Stream::DelegationsInvalidate] {
        let outcomes = evidence.replay.as_ref().ok().and_then(|it| it.streams.get(stream.index()));
        if let Some(outcomes) = outcomes.filter(|outcomes| !outcomes.delays.is_empty()) {
            let mut delays = outcomes.delays.clone();
            delays.sort_unstable();
            let at = |part: usize| delays.get((delays.len() - 1) * part / 100).copied();
            let (half, most) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
            is_seen |= most >= LATE;
            seen.push(format!(
                "{stream}: from the decision to Redis {} (p50) {} (p99) in the last day",
                span(half),
                span(most)
            ));
        }
        if let Some(found) = evidence.stream(stream.name()) {
            is_seen |= is_behind(found, evidence);
            seen.extend(readers(found, evidence));
        }
    }
    seen.push(format!("Redis answers in {}", span(evidence.server.round_trip)));
    is_seen |= evidence.server.round_trip >= Duration::from_millis(100);
    Symptom {
        symptom: "revocation_delayed",
        title: "revocation is delayed",
        seen: is_seen,
        evidence: seen,
        next: vec![
            "late on the way to Redis: check the outboxes of the API and the Coordinator",
            "late in a group: check the service that reads it (restarts, load, database)",
            "late in a follower: check caracal_revocation_lag_seconds by stage, and its load",
            "caracal-streams watch shows the delay from Redis to here, message by message",
        ],
    }
}

fn too_long(evidence: &Evidence) -> Symptom {
    let mut seen = Vec::new();
    let over = |stream: &&StreamEvidence| stream.layout.is_over(stream.length());
    for stream in evidence.streams.iter().filter(over) {
        let intended = stream.layout.intended_length.unwrap_or_default();
        let (name, length) = (stream.layout.name, stream.length());
        seen.push(format!("{name} has {length} entries, {intended} intended"));
        seen.extend(readers(stream, evidence));
    }
    Symptom {
        symptom: "provisioner_warns_of_length",
        title: "the provisioner warns about length",
        seen: !seen.is_empty(),
        evidence: seen,
        next: vec![
            "a group stopped reading: restart its service first, trimming would lose its entries",
            "no group is behind: run caracal-streams retention plan, then retention apply",
            "the intended length only triggers the warning; producers trim at about 100,000",
        ],
    }
}

/// Returns one line for each group of the stream.
fn readers(stream: &StreamEvidence, evidence: &Evidence) -> Vec<String> {
    let line = |group: &caracal_revocation_admin::GroupReport| {
        let oldest = group.oldest_unread.map(|id| format!(" for {}", span(evidence.age(id))));
        let idle = group.oldest_pending.as_ref().map(|it| format!(" for {}", span(it.idle)));
        format!(
            "group {} of {}: {}{}, {} pending{}, {} consumers",
            plain(&group.name),
            stream.layout.name,
            unread_text(group),
            oldest.unwrap_or_default(),
            group.pending,
            idle.unwrap_or_default(),
            group.consumers.len()
        )
    };
    stream.groups().iter().map(line).collect()
}

fn is_behind(stream: &StreamEvidence, evidence: &Evidence) -> bool {
    stream.groups().iter().filter(|group| stream.is_read(group)).any(|group| {
        group.oldest_unread.is_some_and(|id| evidence.age(id) >= BEHIND)
            || group.oldest_pending.as_ref().is_some_and(|it| it.idle >= BEHIND)
    })
}
