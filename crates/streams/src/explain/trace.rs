//! Finds the messages that concern a token.

use caracal_revocation_event::{Change, StreamId};
use caracal_revocation_state::Claims;
use caracal_revocation_stream::TailedMessage;
use serde::{Serialize, Serializer};

use crate::text::{plain, time_of};

/// The effect of a message on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenEffect {
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
    /// The time of its id, in ISO 8601.
    time: String,
    pub(super) deed: TokenEffect,
    /// The names of the claims whose ids it contains.
    anchors: Vec<&'static str>,
    /// The producer's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

impl Traced {
    /// Returns `true` if it contains the id of this claim, or if no claim is given.
    pub(super) fn touches(&self, anchor: Option<&str>) -> bool {
        anchor.is_none_or(|anchor| self.anchors.contains(&anchor))
    }

    /// Returns the stream of the message, and its id in the stream.
    pub(super) fn place(&self) -> (&'static str, StreamId) {
        (self.stream, self.id)
    }

    /// Returns one line for people, safe for a terminal.
    pub(super) fn line(&self) -> String {
        let effect = match self.deed {
            TokenEffect::Revoked => "revoked",
            TokenEffect::Suspended => "suspended",
            TokenEffect::Resumed => "resumed",
            TokenEffect::EpochMoved => "epoch moved beyond the epoch of the token",
        };
        let by = if self.anchors.is_empty() { String::new() } else { self.anchors.join(" ") + " " };
        let reason = self.said.as_deref().map(|reason| format!(" ({})", plain(reason)));
        let Self { stream, id, time, .. } = self;
        format!("{stream} {id}, {time}: {by}{effect}{}", reason.unwrap_or_default())
    }
}

/// Returns the effects of a message on a token with these claims. Most messages have none.
pub(super) fn trace(message: &TailedMessage<'_>, claims: &Claims) -> Vec<Traced> {
    let Ok(event) = message.outcome else { return Vec::new() };
    let traced = |deed, anchors: Vec<&'static str>| Traced {
        stream: message.stream.name(),
        id: message.id,
        time: time_of(message.id),
        deed,
        anchors,
        said: event.reason().map(str::to_owned),
    };
    let touched = |named: &[&str]| -> Vec<&'static str> {
        let anchors = claims.anchors(true);
        let mut labels: Vec<_> = Vec::new();
        for (kind, _) in anchors.filter(|(_, id)| named.contains(id)) {
            // Several hops may have the same id.
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
            Change::Suspend(change) => {
                note(TokenEffect::Suspended, touched(&[change.session.as_str()]))
            }
            Change::Resume(change) => {
                note(TokenEffect::Resumed, touched(&[change.session.as_str()]))
            }
            Change::DelegationEpoch(change) => {
                revoked.extend(change.ended.iter().map(|edge| edge.as_str()));
                let own = claims.delegation_graph_epoch;
                let is_zone = claims.zone_id.as_deref() == Some(change.zone.as_str());
                moves_on |= is_zone && own > 0 && change.epoch > own;
            }
            Change::ForgetKeys(_) | Change::ReloadPolicy(_) => {}
        }
    }
    note(TokenEffect::Revoked, touched(&revoked));
    if moves_on {
        found.push(traced(TokenEffect::EpochMoved, Vec::new()));
    }
    found
}

fn as_text<S: Serializer>(id: &StreamId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
