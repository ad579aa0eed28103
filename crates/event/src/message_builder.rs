//! Builds the messages that Caracal's own producers write, ready to be signed.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::key::Key;
use crate::sign::sign;
use crate::stream::Stream;
use crate::timestamps::OccurredAt;

/// A message to publish, with the fields that Caracal's API and Coordinator write.
///
/// ```
/// use caracal_revocation_event::{Key, MessageBuilder, Stream};
/// let message = MessageBuilder::revoke("z-1", "operator").session("ar-1").agent_session("gs-1");
/// assert_eq!(message.stream(), Stream::SessionsRevoke);
/// let fields = message.into_fields(Some(&Key::generate()?), std::time::SystemTime::now());
/// assert!(fields.iter().any(|(name, _)| name == "_sig"));
/// # Ok::<(), caracal_revocation_event::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageBuilder {
    stream: Stream,
    fields: Vec<(String, String)>,
}

/// The event of a delegation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelegationEvent {
    /// `edge_create`: a new delegation. The epoch moves, and nothing is revoked.
    Create,
    /// `edge_revoke`: the delegations were revoked.
    Revoke,
    /// `edge_expire`: the delegations expired.
    Expire,
}

impl MessageBuilder {
    /// Builds a message of `sessions.revoke`. Add at least one anchor.
    #[must_use]
    pub fn revoke(zone: &str, reason: &str) -> Self {
        Self::on(Stream::SessionsRevoke, zone).with("reason", reason)
    }

    /// Builds a message of `keys.invalidate`.
    #[must_use]
    pub fn keys(zone: &str) -> Self {
        Self::on(Stream::KeysInvalidate, zone)
    }

    /// Builds a message of `policy.invalidate` that names the version now in force.
    #[must_use]
    pub fn policy(zone: &str, policy_set: &str, version: &str) -> Self {
        Self::policies(zone)
            .with("policy_set_id", policy_set)
            .with("policy_set_version_id", version)
    }

    /// Builds a message of `policy.invalidate` that names no version.
    #[must_use]
    pub fn policies(zone: &str) -> Self {
        Self::on(Stream::PolicyInvalidate, zone)
    }

    /// Builds a message of `delegations.invalidate`.
    #[must_use]
    pub fn delegation(zone: &str, event: DelegationEvent, edges: &[&str], epoch: u64) -> Self {
        let name = match event {
            DelegationEvent::Create => "edge_create",
            DelegationEvent::Revoke => "edge_revoke",
            DelegationEvent::Expire => "edge_expire",
        };
        let builder = Self::on(Stream::DelegationsInvalidate, zone).with("event", name);
        let builder = match (event, edges) {
            (DelegationEvent::Create | DelegationEvent::Revoke, [edge]) => {
                builder.with("edge_id", edge)
            }
            _ => builder
                .with("affected_edges", &edges.len().to_string())
                .with("edge_ids", &serde_json::json!(edges).to_string()),
        };
        builder.with("epoch", &epoch.to_string())
    }

    /// Builds a message of `agents.lifecycle`: a session is suspended.
    #[must_use]
    pub fn suspend(zone: &str, session: &str, at: OccurredAt) -> Self {
        Self::lifecycle(zone, session, "suspend", &format!("suspend:{session}:{at}"))
    }

    /// Builds a message of `agents.lifecycle`: a suspended session resumes.
    #[must_use]
    pub fn resume(zone: &str, session: &str, at: OccurredAt) -> Self {
        Self::lifecycle(zone, session, "resume", &format!("resume:{session}:{at}"))
    }

    /// Builds a message of `agents.lifecycle`: a session ends for good.
    #[must_use]
    pub fn terminate(zone: &str, session: &str) -> Self {
        Self::lifecycle(zone, session, "terminate", &format!("terminate:{session}"))
    }

    fn lifecycle(zone: &str, session: &str, event: &str, dedupe_key: &str) -> Self {
        Self::on(Stream::AgentsLifecycle, zone)
            .with("event", event)
            .with("agent_session_id", session)
            .with("dedupe_key", dedupe_key)
    }

    /// Adds the anchor `session_id`, an authority record.
    #[must_use]
    pub fn session(self, id: &str) -> Self {
        self.with("session_id", id)
    }

    /// Adds the anchor `root_sid`, a root authority record.
    #[must_use]
    pub fn root(self, id: &str) -> Self {
        self.with("root_sid", id)
    }

    /// Adds the anchor `agent_session_id`, a governed session.
    #[must_use]
    pub fn agent_session(self, id: &str) -> Self {
        self.with("agent_session_id", id)
    }

    /// Adds the anchor `delegation_edge_id`, a delegation.
    #[must_use]
    pub fn delegation_edge(self, id: &str) -> Self {
        self.with("delegation_edge_id", id)
    }

    /// Sets any other field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(present, _)| present != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the stream to publish to.
    #[must_use]
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// Returns the fields to write to Redis. Adds an `outbox_id` that carries the time `decided`,
    /// unless one is set, and a signature if a key is given.
    #[must_use]
    pub fn into_fields(mut self, key: Option<&Key>, decided: SystemTime) -> Vec<(String, String)> {
        if !self.fields.iter().any(|(name, _)| name == "outbox_id") {
            let since = decided.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let time =
                uuid::Timestamp::from_unix(uuid::NoContext, since.as_secs(), since.subsec_nanos());
            self.fields.push(("outbox_id".to_owned(), Uuid::new_v7(time).to_string()));
        }
        if let Some(key) = key {
            sign(key, self.stream, &mut self.fields);
        }
        self.fields
    }

    fn on(stream: Stream, zone: &str) -> Self {
        Self { stream, fields: vec![("zone_id".to_owned(), zone.to_owned())] }
    }
}
