//! Signed messages, cut in every other way that keeps the signature valid. The canonical form does
//! not escape, so any client that can write to Redis can re-cut messages.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic, their helpers too")]

use std::collections::BTreeSet;

use caracal_revocation_event::{
    Change, Event, Key, KeyRing, Message, MessageRejection, MessageRejectionKind, Stream, sign,
};
use proptest::prelude::*;

type Fields = Vec<(String, String)>;

fn key() -> Key {
    Key::from_hex(&"5a".repeat(32)).unwrap()
}

fn verify<T>(
    stream: Stream,
    fields: &Fields,
    then: impl FnOnce(Result<Event<'_>, MessageRejection>) -> T,
) -> T {
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    then(KeyRing::new(key()).verify(&Message::new(stream, &fields)))
}

/// The effect of a message on tokens.
#[derive(Debug, Default, PartialEq, Eq)]
struct Meaning {
    revoked: BTreeSet<String>,
    suspended: BTreeSet<String>,
    resumed: BTreeSet<String>,
    /// The message is ambiguous or hides fields: the reader raises the horizon and keeps the
    /// message.
    is_flagged: bool,
    /// The message was signed but misses a field, and cannot have been re-cut.
    is_malformed: bool,
}

impl Meaning {
    fn of(outcome: Result<Event<'_>, MessageRejection>) -> Self {
        let event = match outcome {
            Ok(event) => event,
            Err(rejection) => {
                assert!(rejection.was_signed(), "{rejection}");
                let is_flagged = rejection.kind() == MessageRejectionKind::Ambiguous;
                return Self { is_flagged, is_malformed: !is_flagged, ..Self::default() };
            }
        };
        let mut meaning = Self { is_flagged: event.is_recut(), ..Self::default() };
        for change in event.changes() {
            match change {
                Change::Revoke(anchor) => {
                    meaning.revoked.insert(anchor.to_string());
                }
                Change::Suspend(suspension) => {
                    meaning.suspended.insert(suspension.session.to_string());
                }
                Change::Resume(resumption) => {
                    meaning.resumed.insert(resumption.session.to_string());
                }
                Change::DelegationEpoch(delegations) => {
                    meaning.revoked.extend(delegations.ended.iter().map(ToString::to_string));
                }
                Change::ForgetKeys(_) | Change::ReloadPolicy(_) => {}
            }
        }
        meaning
    }
}

/// Returns every list of fields with the same canonical form, this one included.
fn cuts(fields: &Fields) -> Vec<Fields> {
    let mut ordered = fields.clone();
    ordered.sort();
    let text: Vec<String> = ordered.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let text = text.join("\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let mut all = Vec::new();
    // Each bit determines whether a line begins a field or continues the last value.
    for cut in 0_u32..1 << (lines.len() - 1) {
        let mut fields: Fields = Vec::new();
        let fits = lines.iter().enumerate().all(|(at, line)| {
            let begins = at == 0 || cut >> (at - 1) & 1 == 1;
            if !begins {
                let value = &mut fields.last_mut().unwrap().1;
                value.push('\n');
                value.push_str(line);
                return true;
            }
            let Some((name, value)) = line.split_once('=') else { return false };
            let fits = !name.is_empty() && fields.last().is_none_or(|(last, _)| **last < *name);
            fields.push((name.to_owned(), value.to_owned()));
            fits
        });
        if fits {
            all.push(fields);
        }
    }
    all
}

fn reason(fields: &Fields) -> Option<&str> {
    fields.iter().find(|(name, _)| name == "reason").map(|(_, value)| value.as_str())
}

const TIME: &str = "2026-11-20T10:00:00.123Z";

/// Generates messages as producers write them. Only the reason is free text from others.
fn any_message() -> impl Strategy<Value = (Stream, Fields)> {
    let reason = prop::sample::select(vec![
        "operator",
        "a\nb",
        "bye\nevent=spawn",
        "bye\nevent=resume",
        "no\nevent=edge_create\nepoch=1",
        "x\nzone_id=z-9",
        "x\nsid=ar-9\nzone_id=z-9",
    ]);
    let fields = prop::sample::select(vec![
        (Stream::SessionsRevoke, vec![("session_id", "ar-1"), ("agent_session_id", "gs-1")]),
        (
            Stream::SessionsRevoke,
            vec![
                ("agent_session_id", "gs-1"),
                ("dedupe_key", "agent_suspend:gs-1:2026-11-20T10:00:00.123Z"),
            ],
        ),
        (
            Stream::AgentsLifecycle,
            vec![
                ("agent_session_id", "gs-1"),
                ("dedupe_key", "terminate:gs-1"),
                ("event", "terminate"),
            ],
        ),
        (
            Stream::AgentsLifecycle,
            vec![
                ("agent_session_id", "gs-1"),
                ("dedupe_key", "suspend:gs-1:2026-11-20T10:00:00.123Z"),
                ("event", "suspend"),
            ],
        ),
        (
            Stream::DelegationsInvalidate,
            vec![("edge_id", "de-1"), ("epoch", "42"), ("event", "edge_revoke")],
        ),
        (
            Stream::DelegationsInvalidate,
            vec![("edge_ids", r#"["de-1","de-2"]"#), ("epoch", "42"), ("event", "edge_expire")],
        ),
        (Stream::KeysInvalidate, vec![]),
    ]);
    (fields, reason).prop_map(|((stream, fields), reason)| {
        let more = [
            ("outbox_id", "0198b0c2-7d10-7a11-8f00-000000000001"),
            ("reason", reason),
            ("zone_id", "z-1"),
        ];
        let fields = fields.into_iter().chain(more);
        (stream, fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn recutting_a_signed_message_weakens_nothing_unnoticed((stream, fields) in any_message()) {
        let mut signed = fields.clone();
        sign(&key(), stream, &mut signed);
        let signature = signed.pop().unwrap();
        let meant = verify(stream, &[fields.clone(), vec![signature.clone()]].concat(), Meaning::of);
        for cut in cuts(&fields) {
            let fields = [cut, vec![signature.clone()]].concat();
            let read = verify(stream, &fields, Meaning::of);
            prop_assert!(read.resumed.is_subset(&meant.resumed), "{fields:?}");
            let softened: Vec<_> = read.suspended.intersection(&meant.revoked).collect();
            prop_assert!(softened.is_empty(), "{fields:?}");
            let stands = meant.revoked.is_subset(&read.revoked)
                && meant.suspended.iter().all(|id| {
                    read.suspended.contains(id) || read.revoked.contains(id)
                });
            // The contract defines a reason as free text, so text cut off into it goes undetected.
            let is_in_reason = reason(&fields) != reason(&signed);
            prop_assert!(stands || read.is_flagged || is_in_reason, "{fields:?}: {read:?}");
            prop_assert!(!read.is_malformed || meant.is_malformed, "{fields:?}");
        }
    }
}

fn read(stream: Stream, fields: &[(&str, &str)]) -> Meaning {
    let mut fields: Fields =
        fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    sign(&key(), stream, &mut fields);
    verify(stream, &fields, Meaning::of)
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn revokes_edges_without_their_zone_or_epoch() {
    for fields in [
        &[("edge_id", "de-1"), ("epoch", "42"), ("event", "edge_revoke\nzone_id=z-1")][..],
        &[("edge_id", "de-1"), ("epoch", "42\nevent=edge_revoke"), ("zone_id", "z-1")],
        &[("edge_id", "de-1"), ("epoch", "42"), ("reason", "x\nzone_id=z-1")],
        &[("edge_ids", r#"["de-1"]"#), ("event", "edge_expire"), ("outbox_id", "x\nepoch=1")],
    ] {
        let read = read(Stream::DelegationsInvalidate, fields);
        assert_eq!((read.revoked, read.is_flagged), (set(&["de-1"]), true), "{fields:?}");
    }
    // Nothing unambiguous remains, or nothing was cut off.
    let fields = [("edge_id", "de-1\nepoch=42"), ("event", "edge_revoke"), ("zone_id", "z-1")];
    let rejected = read(Stream::DelegationsInvalidate, &fields);
    assert_eq!(rejected, Meaning { is_flagged: true, ..Meaning::default() });
    let fields = [("edge_id", "de-1"), ("event", "edge_revoke"), ("zone_id", "z-1")];
    assert!(read(Stream::DelegationsInvalidate, &fields).is_malformed);
}

#[test]
fn event_that_hides_another_still_revokes() {
    let edge = [
        ("edge_id", "de-1"),
        ("epoch", "42\nevent=edge_revoke\noutbox_id=o-1\nreason=no"),
        ("event", "edge_create"),
        ("zone_id", "z-1"),
    ];
    let read_edge = read(Stream::DelegationsInvalidate, &edge);
    assert_eq!((read_edge.revoked, read_edge.is_flagged), (set(&["de-1"]), true));
    for event in ["spawn", "resume", "suspend", "terminate"] {
        let session = [
            ("agent_session_id", "gs-1"),
            ("dedupe_key", &format!("{event}:gs-1:{TIME}\nevent=terminate\nreason=bye")),
            ("event", event),
            ("zone_id", "z-1"),
        ];
        let read = read(Stream::AgentsLifecycle, &session);
        assert_eq!((read.revoked, read.is_flagged), (set(&["gs-1"]), true), "{event}");
    }
    // A reason is free text and may contain anything.
    let spawn =
        [("agent_session_id", "gs-1"), ("event", "spawn"), ("reason", "a\nevent=terminate")];
    assert_eq!(read(Stream::AgentsLifecycle, &spawn), Meaning::default());
}

#[test]
fn suspension_that_may_be_recut_is_a_revocation() {
    let key = format!("agent_suspend:gs-1:{TIME}");
    let fields = [("agent_session_id", "gs-1"), ("dedupe_key", key.as_str())];
    assert_eq!(read(Stream::SessionsRevoke, &fields).suspended, set(&["gs-1"]));
    for (name, value) in [("comment", "a\nb=c"), ("reason", "x\nsid=ar-9"), ("note", "\nsid=")] {
        let read = read(Stream::SessionsRevoke, &[&fields[..], &[(name, value)]].concat());
        assert_eq!((read.revoked, read.suspended), (set(&["gs-1"]), set(&[])), "{name}");
    }
}
