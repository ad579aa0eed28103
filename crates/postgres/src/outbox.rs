//! Reads the outboxes: every message that was meant for the streams, published or not.

use std::collections::HashMap;

use caracal_revocation_event::{
    Change, KeyRing, Message, MessageRejectionKind, Resumption, Stream, Suspension,
};
use caracal_revocation_state::BaselineFact;
use caracal_revocation_stream::BaselineError;
use serde_json::{Map, Value};

use crate::errors;

/// Suspensions and resumes of one snapshot, collected per session before they are compared.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    sessions: HashMap<Box<str>, SessionMessages>,
    /// The first message that could not be read completely.
    unreadable: Option<BaselineError>,
}

#[derive(Debug, Default)]
struct SessionMessages {
    suspensions: Vec<Suspension<'static>>,
    resumes: Vec<Resumption<'static>>,
}

impl Outbox {
    /// Reads one row. Adds its revocations at once; suspensions wait for their resumes.
    pub(crate) fn add_row(
        &mut self,
        table: &'static str,
        id: &str,
        stream: &str,
        payload: &str,
        dedupe_key: Option<&str>,
        add: &mut (dyn FnMut(&BaselineFact<'_>) + Send),
    ) {
        let Some(stream) = Stream::from_name(stream) else { return };
        let Ok(Value::Object(payload)) = serde_json::from_str(payload) else {
            return self.note_unreadable(table, id, "its payload is not a JSON object");
        };
        let fields = fields(id, dedupe_key, &payload);
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        // Messages are signed on publication; this one comes straight from the producer's
        // database.
        let trusted = KeyRing::insecure_accept_unsigned();
        match trusted.verify(&Message::new(stream, &fields)) {
            Ok(event) => {
                if event.is_recut() {
                    self.note_unreadable(table, id, "a value holds a line that reads like a field");
                }
                event.changes().iter().for_each(|change| self.change(change, add));
            }
            // The message names nothing to revoke, here as on its stream.
            Err(rejection) if rejection.kind() == MessageRejectionKind::Malformed => {
                tracing::debug!(table, id, %rejection, "malformed outbox message; skipped");
            }
            Err(_) => {
                self.note_unreadable(table, id, "its fields can be read in more than one way")
            }
        }
    }

    fn change(&mut self, change: &Change<'_>, add: &mut (dyn FnMut(&BaselineFact<'_>) + Send)) {
        match change {
            Change::Revoke(anchor) => add(&BaselineFact::Revoked(anchor.as_str())),
            Change::DelegationEpoch(change) => {
                change.ended.iter().for_each(|edge| add(&BaselineFact::Revoked(edge.as_str())));
                let zone = change.zone.as_str();
                add(&BaselineFact::Epoch { zone, epoch: change.epoch, ended: change.narrows });
            }
            Change::Suspend(_) | Change::Resume(_) => match change.clone().into_owned() {
                Change::Suspend(suspension) => {
                    self.session(suspension.session.as_str()).suspensions.push(suspension);
                }
                Change::Resume(resume) => {
                    self.session(resume.session.as_str()).resumes.push(resume);
                }
                _ => {}
            },
            // A loss makes the keys and policies of every zone stale by itself.
            Change::ForgetKeys(_) | Change::ReloadPolicy(_) => {}
        }
    }

    fn session(&mut self, id: &str) -> &mut SessionMessages {
        if !self.sessions.contains_key(id) {
            self.sessions.insert(id.into(), SessionMessages::default());
        }
        self.sessions.entry(id.into()).or_default()
    }

    fn note_unreadable(&mut self, table: &'static str, id: &str, why: &str) {
        self.unreadable.get_or_insert_with(|| errors::unreadable(table, id, why));
    }

    /// Adds the resulting suspensions, once all rows were read.
    pub(crate) fn add_suspensions(&self, add: &mut (dyn FnMut(&BaselineFact<'_>) + Send)) {
        for (session, messages) in &self.sessions {
            for suspension in &messages.suspensions {
                let Suspension { occurred, decided, .. } = *suspension;
                add(&if messages.is_lifted(suspension) {
                    BaselineFact::Resumed { session, suspended: occurred }
                } else {
                    BaselineFact::Suspended { session, occurred, decided }
                });
            }
        }
    }

    /// Returns `true` if the messages leave this session suspended.
    pub(crate) fn is_suspended(&self, session: &str) -> bool {
        let is_open = |messages: &SessionMessages| {
            messages.suspensions.iter().any(|one| !messages.is_lifted(one))
        };
        self.sessions.get(session).is_some_and(is_open)
    }

    /// Returns the first message that could not be read completely, as an error.
    pub(crate) fn into_result(self) -> Result<(), BaselineError> {
        self.unreadable.map_or(Ok(()), Err)
    }
}

impl SessionMessages {
    fn is_lifted(&self, suspension: &Suspension<'_>) -> bool {
        self.resumes.iter().any(|resume| resume.lifts(suspension))
    }
}

/// Builds the fields as the producer publishes them: a value that is not a string becomes its
/// JSON text. The Coordinator's `dedupe_key`, and `outbox_id` of both, are columns of the row.
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

    fn add_row(outbox: &mut Outbox, stream: &str, payload: &str, key: Option<&str>) -> Vec<String> {
        let mut added = Vec::new();
        let mut add = |known: &BaselineFact<'_>| added.push(format!("{known:?}"));
        outbox.add_row("caracal_outbox", ID, stream, payload, key, &mut add);
        added
    }

    #[test]
    fn reads_row_like_its_message_on_the_stream() {
        let mut outbox = Outbox::default();
        let payload = r#"{"zone_id":"z","epoch":7,"event":"edge_expire","edge_ids":["e1","e2"]}"#;
        let added = add_row(&mut outbox, "caracal.delegations.invalidate", payload, Some("k"));
        assert_eq!(
            added,
            [
                r#"Revoked("e1")"#,
                r#"Revoked("e2")"#,
                r#"Epoch { zone: "z", epoch: 7, ended: true }"#
            ]
        );
        let payload = r#"{"zone_id":"z","session_id":null,"grant_id":"g","sid":"ar-1"}"#;
        let added = add_row(&mut outbox, "caracal.sessions.revoke", payload, None);
        assert_eq!(added, [r#"Revoked("ar-1")"#]);
        assert_eq!(outbox.into_result(), Ok(()));
    }

    #[test]
    fn reports_ambiguous_message_and_adds_its_clean_part() {
        for (payload, adds) in [
            ("[]", 0),
            (r#"{"zone_id":"z","sid":"a\nb"}"#, 0),
            (r#"{"zone_id":"z","sid":"ar-1","grant_id":"g\nsession_id=ar-2"}"#, 1),
            (r#"{"zone_id":"z","sid":"ar-1","a=b":"c"}"#, 0),
        ] {
            let mut outbox = Outbox::default();
            let added = add_row(&mut outbox, "caracal.sessions.revoke", payload, None);
            assert_eq!(added.len(), adds, "{payload}");
            let error = outbox.into_result().unwrap_err().to_string();
            assert!(error.starts_with("DATABASE_URL: ") && error.contains(ID), "{error}");
        }
        let mut outbox = Outbox::default();
        assert!(add_row(&mut outbox, "caracal.sessions.revoke", "{}", None).is_empty());
        assert_eq!(outbox.into_result(), Ok(()), "a message without an anchor revokes nothing");
    }
}
