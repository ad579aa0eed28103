//! The findings about this user's rights.

use std::collections::BTreeMap;

use caracal_revocation_admin::{Purpose, Right};
use caracal_revocation_stream::acl;

use super::finding::Finding;
use super::gather::Evidence;

pub(super) fn check(evidence: &Evidence, may_publish: bool) -> Vec<Finding> {
    let mut by_purpose: BTreeMap<Purpose, Vec<&Right>> = BTreeMap::new();
    // If a primary is configured, the rights for a purpose tested there replace those tested here.
    let at_primary = evidence.at_primary.as_ref().and_then(|rights| rights.as_ref().ok());
    let is_at_primary = |right: &Right| {
        at_primary.is_some_and(|rights| rights.iter().any(|it| it.purpose == right.purpose))
    };
    let here = evidence.rights.iter().filter(|right| !is_at_primary(right));
    for right in here.chain(at_primary.into_iter().flatten()) {
        by_purpose.entry(right.purpose).or_default().push(right);
    }
    let mut findings = Vec::new();
    let (publish, remove) = (Purpose::Publish, Purpose::Remove);
    let writing = [publish, remove].into_iter().filter_map(|it| by_purpose.remove(&it)).flatten();
    findings.push(writing_finding(&writing.collect::<Vec<_>>(), may_publish));
    if let Some(Err(error)) = &evidence.at_primary {
        findings.push(
            Finding::broken("rights", format!("the rights at the primary are unknown: {error}"))
                .about("primary")
                .why("without it, the staleness of a replica is unknown")
                .then("check REDIS_PRIMARY_URL; and in Redis: ".to_owned() + &give(acl::PRIMARY)),
        );
    }
    let on_replica = !evidence.server.is_primary && evidence.at_primary.is_none();
    let others = by_purpose.into_iter();
    findings.splice(0..0, others.filter_map(|(of, rights)| finding(of, &rights, on_replica)));
    findings
}

fn finding(purpose: Purpose, rights: &[&Right], on_replica: bool) -> Option<Finding> {
    let (label, what, why) = match purpose {
        Purpose::Follow => ("follow", "follow the streams", "without it, every verdict is unknown"),
        Purpose::Primary => (
            "primary",
            "ask the primary of this replica",
            "without it, the staleness of a replica is unknown",
        ),
        Purpose::DeadLetter => (
            "dead_letter",
            "write dead letters",
            "a message that a consumer rejects is counted, and then lost",
        ),
        Purpose::Warn => ("warn", "read the settings", "settings that lose messages go unnoticed"),
        Purpose::Canary => ("canary", "send canaries", "only a service with a canary needs it"),
        Purpose::Receipts => {
            ("receipts", "write receipts", "only a follower that writes receipts needs it")
        }
        Purpose::Effects => {
            ("effects", "join consumer groups", "only a service with effects needs it")
        }
        _ => return None,
    };
    let writes = matches!(purpose, Purpose::DeadLetter | Purpose::Canary | Purpose::Receipts);
    let missing: Vec<&Right> = rights.iter().copied().filter(|right| !right.held).collect();
    let (seen, next) = if writes && on_replica {
        let seen = format!("may not {what}: this server is a replica, which rejects writes");
        (seen, "set REDIS_PRIMARY_URL to the primary of this replica".to_owned())
    } else if missing.is_empty() {
        return Some(Finding::fine("rights", format!("may {what}")).about(label));
    } else {
        let next = purpose.rights().map(give).unwrap_or_default();
        (format!("may not {what}: lacks {}", describe(&missing)), next)
    };
    let finding = match purpose {
        Purpose::Follow | Purpose::Primary => Finding::broken("rights", seen).then(next),
        Purpose::DeadLetter => Finding::warning("rights", seen).then(next),
        // Only some services need the other purposes.
        _ => Finding::fine("rights", seen),
    };
    Some(finding.about(label).why(why))
}

/// Returns the finding about rights to change the streams. A follower with such rights could forge,
/// replay or remove revocations, because it holds the stream key.
fn writing_finding(rights: &[&Right], may_publish: bool) -> Finding {
    let held: Vec<&Right> = rights.iter().copied().filter(|right| right.held).collect();
    if held.is_empty() {
        return Finding::fine("rights", "may not publish").about("publish");
    }
    let seen = format!("may change the streams: has {}", describe(&held));
    if may_publish {
        return Finding::fine("rights", seen).about("publish");
    }
    let line = acl::FOLLOWER;
    Finding::warning("rights", seen)
        .about("publish")
        .why("a follower needs no such right: an attacker who controls it could forge messages")
        .then(format!(
            "give followers their own user: ACL SETUSER follower reset on >PASSWORD {line}; \
             for the user of a producer or an operator, run doctor --may-publish"
        ))
}

/// Returns each command once, with the keys that it concerns.
fn describe(rights: &[&Right]) -> String {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for right in rights {
        keys.entry(right.command).or_default().extend(right.key.as_deref());
    }
    let text = |(command, keys): (&str, Vec<&str>)| match keys.as_slice() {
        [] => format!("+{command}"),
        keys => format!("+{command} on {}", keys.join(" ")),
    };
    keys.into_iter().map(text).collect::<Vec<_>>().join("; ")
}

/// Returns the command that gives a user this line of rights. The whole line adds the missing
/// rights and no unneeded one.
fn give(line: &str) -> String {
    format!("ACL SETUSER <user> {line}")
}
