//! The messages that revoke the rows of a selection, and the blast radius as counts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use caracal_revocation_postgres::{Selected, SelectedDelegation};
use serde::Serialize;

use super::item::Item;
use crate::text::plain;

/// The number of applications that a text names.
const NAMED: usize = 10;

/// Returns a message for each record, session and delegation. The message of a delegation also
/// names a session at one of its ends that is revoked anyway: Caracal's STS fails on a message with
/// a delegation alone, and keeps it pending.
pub(super) fn items(selected: &Selected) -> Vec<Item> {
    let records = selected.records.iter().map(|record| Item {
        zone_id: Some(record.zone.clone()),
        session_id: Some(record.id.clone()),
        ..Item::default()
    });
    let mut by_session: HashMap<&str, Vec<&SelectedDelegation>> = HashMap::new();
    let mut alone = Vec::new();
    for delegation in &selected.delegations {
        match &delegation.session {
            Some(session) => by_session.entry(session).or_default().push(delegation),
            None => alone.push(delegation),
        }
    }
    let sessions = selected.sessions.iter().flat_map(|session| {
        let item = |delegation: Option<&SelectedDelegation>| Item {
            zone_id: Some(session.zone.clone()),
            agent_session_id: Some(session.id.clone()),
            delegation_edge_id: delegation.map(|delegation| delegation.id.clone()),
            ..Item::default()
        };
        match by_session.get(session.id.as_str()) {
            None => vec![item(None)],
            Some(delegations) => delegations.iter().map(|it| item(Some(it))).collect(),
        }
    });
    let alone = alone.iter().map(|delegation| Item {
        zone_id: Some(delegation.zone.clone()),
        delegation_edge_id: Some(delegation.id.clone()),
        ..Item::default()
    });
    records.chain(sessions).chain(alone).collect()
}

/// The number of ids that messages revoke, by kind.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    messages: usize,
    records: usize,
    sessions: usize,
    delegations: usize,
    zones: BTreeSet<String>,
}

impl Counts {
    pub(super) fn of(items: &[Item]) -> Self {
        let count = |anchors: &[fn(&Item) -> &Option<String>]| {
            let ids =
                items.iter().flat_map(|item| anchors.iter().filter_map(|of| of(item).as_ref()));
            ids.collect::<HashSet<_>>().len()
        };
        Self {
            messages: items.len(),
            records: count(&[|item| &item.session_id, |item| &item.root_sid]),
            sessions: count(&[|item| &item.agent_session_id]),
            delegations: count(&[|item| &item.delegation_edge_id]),
            zones: items.iter().filter_map(|item| item.zone_id.clone()).collect(),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = number(self.records, "authority record");
        let sessions = number(self.sessions, "session");
        write!(f, "{records}, {sessions}, {}", number(self.delegations, "delegation"))?;
        let zones: Vec<_> = self.zones.iter().take(NAMED).map(|zone| plain(zone)).collect();
        let more = if self.zones.len() > NAMED { ", …" } else { "" };
        write!(f, "\n  in {}: {}{more}", number(self.zones.len(), "zone"), zones.join(", "))
    }
}

/// The blast radius: the number of active rows in Postgres, and of those below the selected rows.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Radius {
    records: Part,
    sessions: Part,
    /// The number of those sessions that are suspended. The others are active.
    suspended_sessions: usize,
    delegations: Part,
    /// The number of sessions below, by their application.
    sessions_below_by_application: BTreeMap<String, usize>,
}

/// A number of rows.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Part {
    total: usize,
    /// The number of those that do not meet the criteria themselves.
    below: usize,
}

impl Part {
    fn of(below: impl Iterator<Item = bool>) -> Self {
        below.fold(Self::default(), |part, is_below| Self {
            total: part.total + 1,
            below: part.below + usize::from(is_below),
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.below {
            0 => Ok(()),
            below if below == self.total => write!(f, ", all below"),
            below => write!(f, ", {below} of them below"),
        }
    }
}

impl Radius {
    pub(super) fn of(selected: &Selected) -> Self {
        let mut by_application = BTreeMap::new();
        for session in selected.sessions.iter().filter(|session| session.is_below) {
            *by_application.entry(session.application.clone()).or_default() += 1;
        }
        Self {
            records: Part::of(selected.records.iter().map(|record| record.is_below)),
            sessions: Part::of(selected.sessions.iter().map(|session| session.is_below)),
            suspended_sessions: selected.sessions.iter().filter(|it| it.is_suspended).count(),
            delegations: Part::of(selected.delegations.iter().map(|it| it.is_below)),
            sessions_below_by_application: by_application,
        }
    }
}

impl fmt::Display for Radius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, sessions, suspended_sessions: suspended, delegations, .. } = self;
        writeln!(f, "  {}{records}", number(records.total, "authority record"))?;
        write!(f, "  {}", number(sessions.total, "session"))?;
        if sessions.total > 0 {
            write!(f, ": {} active, {suspended} suspended{sessions}", sessions.total - suspended)?;
        }
        let by_application = &self.sessions_below_by_application;
        for (index, (application, count)) in by_application.iter().take(NAMED).enumerate() {
            let before = if index == 0 { " (" } else { ", " };
            write!(f, "{before}{}: {count}", plain(application))?;
        }
        match by_application.len() {
            0 => {}
            1..=NAMED => f.write_str(")")?,
            more => write!(f, ", and {} more applications)", more - NAMED)?,
        }
        write!(f, "\n  {}{delegations}", number(delegations.total, "delegation"))
    }
}

/// Returns a number with its noun, such as `1 session` or `2 sessions`.
pub(super) fn number(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
