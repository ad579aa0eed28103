//! What is said of this user's rights.

use std::collections::BTreeMap;

use caracal_revocation_stream::{Purpose, Right};

use super::Finding;

pub(super) fn look(rights: &[Right]) -> Vec<Finding> {
    let mut by_purpose: BTreeMap<Purpose, Vec<&Right>> = BTreeMap::new();
    for right in rights {
        by_purpose.entry(right.purpose).or_default().push(right);
    }
    by_purpose.into_iter().filter_map(|(purpose, rights)| finding(purpose, &rights)).collect()
}

fn finding(purpose: Purpose, rights: &[&Right]) -> Option<Finding> {
    let lacking: Vec<&Right> = rights.iter().copied().filter(|right| !right.held).collect();
    let (label, what, why) = match purpose {
        Purpose::Follow => ("follow", "follow the streams", "without it every verdict is unknown"),
        Purpose::DeadLetter => (
            "dead_letter",
            "write dead letters",
            "what a consumer cannot use is counted, and then lost",
        ),
        Purpose::Warn => ("warn", "read the settings", "settings that lose messages go unnoticed"),
        Purpose::Effects => {
            ("effects", "join consumer groups", "only what acts once in a fleet needs it")
        }
        Purpose::Publish => ("publish", "publish", "only producers and operators need it"),
        _ => return None,
    };
    if lacking.is_empty() {
        return Some(Finding::fine("rights", format!("may {what}")).about(label));
    }
    let seen = format!("may not {what}: lacks {}", words(&lacking));
    let finding = match purpose {
        Purpose::Follow => Finding::broken("rights", seen).then(acl(&lacking)),
        Purpose::DeadLetter => Finding::warning("rights", seen).then(acl(&lacking)),
        // Services differ in what they need beyond that.
        _ => Finding::fine("rights", seen),
    };
    Some(finding.about(label).why(why))
}

/// Each command once, with its keys where it lacks only some of them.
fn words(lacking: &[&Right]) -> String {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for right in lacking {
        keys.entry(right.command).or_default().extend(right.key.as_deref());
    }
    let word = |(command, keys): (&str, Vec<&str>)| match keys.as_slice() {
        [] => format!("+{command}"),
        keys => format!("+{command} on {}", keys.join(" ")),
    };
    keys.into_iter().map(word).collect::<Vec<_>>().join("; ")
}

/// What to add to the user's ACL.
fn acl(lacking: &[&Right]) -> String {
    let mut words: Vec<String> = Vec::new();
    for right in lacking {
        let command = format!("+{}", right.command);
        let key = right.key.as_deref().map(|key| match () {
            () if key.ends_with(":mark") => "%RW~{caracal.*.dead}:mark",
            () if key.ends_with(".dead") => "%W~caracal.*.dead",
            () => "~caracal.*",
        });
        for word in [Some(command), key.map(str::to_owned)].into_iter().flatten() {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    format!("ACL SETUSER <user> {}", words.join(" "))
}
