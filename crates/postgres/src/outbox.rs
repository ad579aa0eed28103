//! The outboxes: every message that was ever meant for the streams, published or not.

use std::collections::HashMap;

use caracal_revocation_event::{
    Change, KeyRing, Message, RejectionKind, Resumption, Stream, Suspension,
};
use caracal_revocation_state::Known;
use caracal_revocation_stream::BaselineError;
use serde_json::{Map, Value};

use crate::errors;

/// What the messages of one snapshot say, as far as it takes more than one of them to say it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    sessions: HashMap<Box<str>, Told>,
    /// The first message that could not be understood whole.
    unreadable: Option<BaselineError>,
}

#[derive(Debug, Default)]
struct Told {
    suspensions: Vec<Suspension<'static>>,
    resumes: Vec<Resumption<'static>>,
}

impl Outbox {
    /// Takes in one row. What it revokes is added at once; suspensions wait for their resumes.
    pub(crate) fn take_in(
        &mut self,
        table: &'static str,
        id: &str,
        stream: &str,
        payload: &str,
        dedupe_key: Option<&str>,
        add: &mut (dyn FnMut(&Known<'_>) + Send),
    ) {
        let Some(stream) = Stream::from_name(stream) else { return };
        let Ok(Value::Object(payload)) = serde_json::from_str(payload) else {
            return self.missed(table, id, "its payload is no object");
        };
        let fields = fields(id, dedupe_key, &payload);
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        // A message is signed when it is published; this one comes from where it is decided.
        let trusted = KeyRing::insecure_accept_unsigned();
        match trusted.verify(&Message::new(stream, &fields)) {
            Ok(event) => {
                if event.is_recut() {
                    self.missed(table, id, "a value holds a line that reads like a field");
                }
                event.changes().iter().for_each(|change| self.change(change, add));
            }
            // It names nothing to refuse, here as on its stream.
            Err(rejection) if rejection.kind() == RejectionKind::Malformed => {
                tracing::debug!(table, id, %rejection, "a message of the outbox says nothing");
            }
            Err(_) => self.missed(table, id, "its fields can be read in more than one way"),
        }
    }

    fn change(&mut self, change: &Change<'_>, add: &mut (dyn FnMut(&Known<'_>) + Send)) {
        match change {
            Change::Revoke(anchor) => add(&Known::Revoked(anchor.as_str())),
            Change::DelegationEpoch(told) => {
                told.ended.iter().for_each(|edge| add(&Known::Revoked(edge.as_str())));
                let zone = told.zone.as_str();
                add(&Known::Epoch { zone, epoch: told.epoch, ended: told.narrows });
            }
            Change::Suspend(_) | Change::Resume(_) => match change.clone().into_owned() {
                Change::Suspend(told) => {
                    self.session(told.session.as_str()).suspensions.push(told);
                }
                Change::Resume(told) => self.session(told.session.as_str()).resumes.push(told),
                _ => {}
            },
            // A loss makes the keys and policies of every zone stale by itself.
            Change::ForgetKeys(_) | Change::ReloadPolicy(_) => {}
        }
    }

    fn session(&mut self, id: &str) -> &mut Told {
        if !self.sessions.contains_key(id) {
            self.sessions.insert(id.into(), Told::default());
        }
        self.sessions.entry(id.into()).or_default()
    }

    fn missed(&mut self, table: &'static str, id: &str, why: &str) {
        self.unreadable.get_or_insert_with(|| errors::unreadable(table, id, why));
    }

    /// Adds what the suspensions come to, once all messages were taken in.
    pub(crate) fn settle(&self, add: &mut (dyn FnMut(&Known<'_>) + Send)) {
        for (session, told) in &self.sessions {
            for suspension in &told.suspensions {
                let Suspension { occurred, decided, .. } = *suspension;
                add(&if told.is_lifted(suspension) {
                    Known::Resumed { session, suspended: occurred }
                } else {
                    Known::Suspended { session, occurred, decided }
                });
            }
        }
    }

    /// Whether a suspension of this session goes on, by its messages.
    pub(crate) fn holds(&self, session: &str) -> bool {
        let holds = |told: &Told| told.suspensions.iter().any(|held| !told.is_lifted(held));
        self.sessions.get(session).is_some_and(holds)
    }

    /// Whether nothing was left out.
    pub(crate) fn understood(self) -> Result<(), BaselineError> {
        self.unreadable.map_or(Ok(()), Err)
    }
}

impl Told {
    fn is_lifted(&self, suspension: &Suspension<'_>) -> bool {
        self.resumes.iter().any(|resume| resume.lifts(suspension))
    }
}

/// The fields as the producer will publish them: what is no text as its JSON text. The
/// Coordinator's own `dedupe_key` and both their `outbox_id` are columns of the row.
fn fields(
    id: &str,
    dedupe_key: Option<&str>,
    payload: &Map<String, Value>,
) -> Vec<(String, String)> {
    let mut fields = vec![("outbox_id".to_owned(), id.to_owned())];
    fields.extend(dedupe_key.map(|key| ("dedupe_key".to_owned(), key.to_owned())));
    for (name, value) in payload {
        let is_column = name == "outbox_id" || (name == "dedupe_key" && dedupe_key.is_some());
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if !is_column {
            fields.push((name.clone(), text));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01989e0b-1000-7000-8000-000000000001";

    fn take_in(outbox: &mut Outbox, stream: &str, payload: &str, key: Option<&str>) -> Vec<String> {
        let mut said = Vec::new();
        let mut add = |known: &Known<'_>| said.push(format!("{known:?}"));
        outbox.take_in("caracal_outbox", ID, stream, payload, key, &mut add);
        said
    }

    #[test]
    fn reads_a_row_as_its_message_would_be_read_on_the_stream() {
        let mut outbox = Outbox::default();
        let payload = r#"{"zone_id":"z","epoch":7,"event":"edge_expire","edge_ids":["e1","e2"]}"#;
        let said = take_in(&mut outbox, "caracal.delegations.invalidate", payload, Some("k"));
        assert_eq!(
            said,
            [
                r#"Revoked("e1")"#,
                r#"Revoked("e2")"#,
                r#"Epoch { zone: "z", epoch: 7, ended: true }"#
            ]
        );
        let payload = r#"{"zone_id":"z","session_id":null,"grant_id":"g","sid":"ar-1"}"#;
        let said = take_in(&mut outbox, "caracal.sessions.revoke", payload, None);
        assert_eq!(said, [r#"Revoked("ar-1")"#]);
        assert_eq!(outbox.understood(), Ok(()));
    }

    #[test]
    fn what_is_not_understood_whole_is_said_and_what_is_clean_in_it_is_added() {
        for (payload, adds) in [
            ("[]", 0),
            (r#"{"zone_id":"z","sid":"a\nb"}"#, 0),
            (r#"{"zone_id":"z","sid":"ar-1","grant_id":"g\nsession_id=ar-2"}"#, 1),
            (r#"{"zone_id":"z","sid":"ar-1","a=b":"c"}"#, 0),
        ] {
            let mut outbox = Outbox::default();
            let said = take_in(&mut outbox, "caracal.sessions.revoke", payload, None);
            assert_eq!(said.len(), adds, "{payload}");
            let error = outbox.understood().unwrap_err().to_string();
            assert!(error.starts_with("DATABASE_URL: ") && error.contains(ID), "{error}");
        }
        let mut outbox = Outbox::default();
        assert!(take_in(&mut outbox, "caracal.sessions.revoke", "{}", None).is_empty());
        assert_eq!(outbox.understood(), Ok(()), "a message without an anchor refuses nothing");
    }
}
