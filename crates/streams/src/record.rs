//! A message and its outcome, as JSON for programs and as a line for people.

use std::fmt::Write as _;
use std::time::Duration;

use caracal_revocation_event::{Change, Effect, Event, MessageRejection, Stream, StreamId};
use serde::{Serialize, Serializer};

use crate::text::plain;

/// The outcome of one message in a follower. Its JSON is stable for programs: fields may be added,
/// and none is renamed.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Record<'e> {
    #[serde(serialize_with = "by_name")]
    stream: Stream,
    #[serde(serialize_with = "as_text", skip_serializing_if = "Option::is_none")]
    id: Option<StreamId>,
    /// `applied` or `rejected`.
    outcome: &'static str,
    /// The reason of a rejection: `signature`, `malformed`, `ambiguous` or `too_large`.
    reason: Option<&'static str>,
    /// The change that it makes, in the format of the contract's test vectors.
    effect: Option<Effect<'e>>,
    /// `true` if it also belongs in the dead-letter stream.
    dead_letter: bool,
    /// The rejection as text.
    #[serde(serialize_with = "as_text", skip_serializing_if = "Option::is_none")]
    detail: Option<MessageRejection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'e str>,
    /// The producer's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'e str>,
    /// The accepted key that signed it: `current` or `previous`; else `unsigned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'static str>,
    /// The time of the decision, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_ms: Option<u64>,
    /// The time from its id until it was read here, by the server's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<f64>,
    /// Its changes. The JSON holds only the delegations that they end, if there are any.
    #[serde(rename = "ended", serialize_with = "ended", skip_serializing_if = "ends_nothing")]
    changes: &'e [Change<'e>],
}

impl<'e> Record<'e> {
    pub(crate) fn of(stream: Stream, outcome: Result<&'e Event<'e>, MessageRejection>) -> Self {
        let event = outcome.ok();
        let detail = outcome.err();
        Self {
            stream,
            id: None,
            outcome: if event.is_some() { "applied" } else { "rejected" },
            reason: detail.map(|rejection| rejection.kind().label()),
            effect: event.map(Event::effect),
            dead_letter: event.is_none_or(Event::is_recut),
            detail,
            zone: event.and_then(Event::zone).map(|zone| zone.as_str()),
            said: event.and_then(Event::reason),
            key: event.map(|event| event.key().label()),
            decided_ms: event.and_then(Event::decided).map(|decided| decided.as_millis()),
            age_ms: None,
            changes: event.map_or(&[], Event::changes),
        }
    }

    /// Adds the message's id and its age.
    pub(crate) fn at(self, id: StreamId, age: Duration) -> Self {
        Self { id: Some(id), age_ms: Some(age.as_secs_f64() * 1_000.0), ..self }
    }

    pub(crate) fn is_applied(&self) -> bool {
        self.outcome == "applied"
    }

    /// Returns one line for people, safe for a terminal.
    pub(crate) fn line(&self) -> String {
        let id = self.id.map(|id| format!(" {id}")).unwrap_or_default();
        format!("{} {}{id}: {}", self.outcome, self.stream, self.text())
    }

    /// Returns the changes, or the reason of the rejection, as text that is safe for a terminal.
    pub(crate) fn text(&self) -> String {
        let mut line = match self.detail {
            Some(rejection) => rejection.to_string(),
            None => changes(self.changes),
        };
        // Writing to a string cannot fail.
        if let Some(zone) = self.zone {
            let _ = write!(line, " · zone {}", plain(zone));
        }
        if let Some(reason) = self.said {
            let _ = write!(line, " · {}", plain(reason));
        }
        if self.is_applied() && self.dead_letter {
            line.push_str(" · re-cut: also a dead letter");
        }
        line
    }
}

/// Returns the changes of a message as text.
pub(crate) fn changes(changes: &[Change<'_>]) -> String {
    if changes.is_empty() {
        return "no change".to_owned();
    }
    let texts = changes.iter().map(|change| match change {
        Change::Revoke(anchor) => format!("revoke {}", plain(anchor.as_str())),
        Change::Suspend(change) => format!("suspend {}", plain(change.session.as_str())),
        Change::Resume(change) => format!("resume {}", plain(change.session.as_str())),
        Change::DelegationEpoch(change) => {
            let ended = match change.ended.len() {
                0 => String::new(),
                1 => ", one delegation ends".to_owned(),
                count => format!(", {count} delegations end"),
            };
            format!("delegation epoch {}{ended}", change.epoch)
        }
        Change::ForgetKeys(_) => "forget the zone's keys".to_owned(),
        Change::ReloadPolicy(change) => match &change.version {
            Some(version) => format!("reload the zone's policy, version {}", plain(version)),
            None => "reload the zone's policy".to_owned(),
        },
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Returns the delegations that a message ends.
fn ended_by<'e>(changes: &'e [Change<'e>]) -> impl Iterator<Item = &'e str> {
    let ended = changes.iter().filter_map(|change| match change {
        Change::DelegationEpoch(change) => Some(&change.ended),
        _ => None,
    });
    ended.flatten().map(|edge| edge.as_str())
}

fn ended<'e, S: Serializer>(changes: &&'e [Change<'e>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ended_by(changes))
}

fn ends_nothing<'e>(changes: &&'e [Change<'e>]) -> bool {
    ended_by(changes).next().is_none()
}

fn by_name<S: Serializer>(stream: &Stream, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stream.name())
}

fn as_text<S: Serializer>(
    value: &Option<impl std::fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.as_ref().map(ToString::to_string).unwrap_or_default())
}
