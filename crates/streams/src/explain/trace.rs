//! The messages that concern a token.

use caracal_revocation_event::{Change, StreamId};
use caracal_revocation_state::Claims;
use caracal_revocation_stream::TailedMessage;
use serde::{Serialize, Serializer};

use crate::text::{plain, time_of};

/// What a message did to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Deed {
    Revoked,
    Suspended,
    Resumed,
    EpochMoved,
}

/// A message that concerns a token.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Traced {
    stream: &'static str,
    #[serde(serialize_with = "as_text")]
    pub(super) id: StreamId,
    /// When it was added, in ISO 8601.
    time: String,
    pub(super) deed: Deed,
    /// The claims whose ids it names.
    anchors: Vec<&'static str>,
    /// The producer's words for why.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

impl Traced {
    /// Returns `true` if it names the id in this claim.
    pub(super) fn touches(&self, anchor: Option<&str>) -> bool {
        anchor.is_none_or(|anchor| self.anchors.contains(&anchor))
    }

    /// Where it stands.
    pub(super) fn place(&self) -> (&'static str, StreamId) {
        (self.stream, self.id)
    }

    pub(super) fn line(&self) -> String {
        let deed = match self.deed {
            Deed::Revoked => "revoked",
            Deed::Suspended => "suspended",
            Deed::Resumed => "resumed",
            Deed::EpochMoved => "epoch moved beyond the token's",
        };
        let by = if self.anchors.is_empty() { String::new() } else { self.anchors.join(" ") + " " };
        let said = self.said.as_deref().map(|said| format!(" ({})", plain(said)));
        let Self { stream, id, time, .. } = self;
        format!("{stream} {id}, {time}: {by}{deed}{}", said.unwrap_or_default())
    }
}

/// What the message does to a token with these claims; nothing for most.
pub(super) fn trace(sighting: &TailedMessage<'_>, claims: &Claims) -> Vec<Traced> {
    let Ok(event) = sighting.outcome else { return Vec::new() };
    let traced = |deed, anchors: Vec<&'static str>| Traced {
        stream: sighting.stream.name(),
        id: sighting.id,
        time: time_of(sighting.id),
        deed,
        anchors,
        said: event.reason().map(str::to_owned),
    };
    let touched = |named: &[&str]| -> Vec<&'static str> {
        let anchors = claims.anchors(true);
        let mut labels: Vec<_> = Vec::new();
        for (kind, _) in anchors.filter(|(_, id)| named.contains(id)) {
            // An id may be that of several hops.
            if !labels.contains(&kind.label()) {
                labels.push(kind.label());
            }
        }
        labels
    };
    let mut found = Vec::new();
    let mut note = |deed, anchors: Vec<&'static str>| {
        if !anchors.is_empty() {
            found.push(traced(deed, anchors));
        }
    };
    let mut revoked: Vec<&str> = Vec::new();
    let mut moves_on = false;
    for change in event.changes() {
        match change {
            Change::Revoke(anchor) => revoked.push(anchor.as_str()),
            Change::Suspend(told) => note(Deed::Suspended, touched(&[told.session.as_str()])),
            Change::Resume(told) => note(Deed::Resumed, touched(&[told.session.as_str()])),
            Change::DelegationEpoch(told) => {
                revoked.extend(told.ended.iter().map(|edge| edge.as_str()));
                let own = claims.delegation_graph_epoch;
                let is_zone = claims.zone_id.as_deref() == Some(told.zone.as_str());
                moves_on |= is_zone && own > 0 && told.epoch > own;
            }
            Change::ForgetKeys(_) | Change::ReloadPolicy(_) => {}
        }
    }
    note(Deed::Revoked, touched(&revoked));
    if moves_on {
        found.push(traced(Deed::EpochMoved, Vec::new()));
    }
    found
}

fn as_text<S: Serializer>(id: &StreamId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
