//! One message of many: a zone and its anchors.

use caracal_revocation_event::MessageBuilder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The anchors of one message, with the field names of the contract. Each line of an input file and
/// of a journal has this form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    /// Absent only in an input whose lines do not name their zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zone_id: Option<String>,
    /// An authority record.
    #[serde(alias = "sid", skip_serializing_if = "Option::is_none")]
    pub(super) session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) root_sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent_session_id: Option<String>,
    #[serde(alias = "edge_id", skip_serializing_if = "Option::is_none")]
    pub(super) delegation_edge_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl Item {
    /// Returns the anchors, by the names of their fields.
    pub(super) fn anchors(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = [
            ("session_id", &self.session_id),
            ("root_sid", &self.root_sid),
            ("agent_session_id", &self.agent_session_id),
            ("delegation_edge_id", &self.delegation_edge_id),
        ];
        named.into_iter().filter_map(|(name, id)| Some((name, id.as_deref()?)))
    }

    /// Returns the message of `sessions.revoke`.
    pub(super) fn message(&self, reason: &str) -> MessageBuilder {
        let reason = self.reason.as_deref().unwrap_or(reason);
        let zone = self.zone_id.as_deref().unwrap_or_default();
        let message = MessageBuilder::revoke(zone, reason);
        self.anchors().fold(message, |message, (name, id)| message.with(name, id))
    }

    /// Returns a digest that differs for different items.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.line()).into()
    }

    /// Returns the item as one line of JSON.
    pub(super) fn line(&self) -> String {
        // Text always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }
}
