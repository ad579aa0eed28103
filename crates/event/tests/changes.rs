//! The messages of Caracal's producers, from the builder to the changes that they ask for.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic, their helpers too")]

use std::time::{Duration, SystemTime};

use caracal_revocation_event::{
    Anchor, Change, DecidedAt, DelegationEvent, Event, Key, KeyRing, Message, MessageBuilder,
    MessageRejection, OccurredAt, Resumption, Stream, Suspension,
};
use serde_json::{Value, json};

/// 2026-11-20T10:00:00.123Z, in milliseconds.
const DECIDED: u64 = 1_795_168_800_123;

fn key() -> Key {
    Key::from_hex(&"5a".repeat(32)).unwrap()
}

fn decided() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(DECIDED)
}

fn at(second: u8) -> OccurredAt {
    OccurredAt::parse(&format!("2026-11-20T10:00:{second:02}.000Z")).unwrap()
}

fn anchor(id: &str) -> Anchor<'_> {
    Anchor::new(id).unwrap()
}

fn verify<T>(
    message: MessageBuilder,
    then: impl FnOnce(Result<Event<'_>, MessageRejection>) -> T,
) -> T {
    let stream = message.stream();
    let fields = message.into_fields(Some(&key()), decided());
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    then(KeyRing::new(key()).verify(&Message::new(stream, &fields)))
}

/// Every message that a producer writes, its stream, and its effect.
fn messages() -> Vec<(MessageBuilder, Stream, Value)> {
    let delegation = |event, edges: &[&str]| MessageBuilder::delegation("z-1", event, edges, 42);
    let revocation = MessageBuilder::revoke("z-1", "operator");
    vec![
        (revocation.clone().session("s"), Stream::SessionsRevoke, json!({ "revoke": ["s"] })),
        (
            revocation.session("s").root("r").agent_session("a").delegation_edge("d"),
            Stream::SessionsRevoke,
            json!({ "revoke": ["s", "r", "d", "a"] }),
        ),
        (MessageBuilder::keys("z-1"), Stream::KeysInvalidate, json!({ "forget_keys": "z-1" })),
        (
            MessageBuilder::policy("z-1", "p", "v-7"),
            Stream::PolicyInvalidate,
            json!({ "reload_policy": "z-1" }),
        ),
        (
            MessageBuilder::policies("z-1"),
            Stream::PolicyInvalidate,
            json!({ "reload_policy": "z-1" }),
        ),
        (
            delegation(DelegationEvent::Revoke, &["d"]),
            Stream::DelegationsInvalidate,
            json!({ "epoch": ["z-1", 42] }),
        ),
        (
            delegation(DelegationEvent::Expire, &["d", "e"]),
            Stream::DelegationsInvalidate,
            json!({ "epoch": ["z-1", 42] }),
        ),
        (
            MessageBuilder::suspend("z-1", "a", at(1)),
            Stream::AgentsLifecycle,
            json!({ "suspend": ["a", "2026-11-20T10:00:01.000Z"] }),
        ),
        (
            MessageBuilder::resume("z-1", "a", at(2)),
            Stream::AgentsLifecycle,
            json!({ "resume": ["a", "2026-11-20T10:00:02.000Z"] }),
        ),
        (
            MessageBuilder::terminate("z-1", "a"),
            Stream::AgentsLifecycle,
            json!({ "revoke": ["a"] }),
        ),
    ]
}

#[test]
fn each_built_message_has_its_effect() {
    for (message, stream, effect) in messages() {
        assert_eq!(message.stream(), stream);
        verify(message, |event| {
            let event = event.unwrap();
            assert_eq!(serde_json::to_value(event.effect()).unwrap(), effect);
            assert_eq!(event.stream(), stream);
            assert_eq!(event.zone().unwrap().to_string(), "z-1");
            assert_eq!(event.decided(), Some(DecidedAt::at_millis(DECIDED)));
            assert!(!event.is_recut());
        });
    }
}

#[test]
fn owned_changes_equal_the_borrowed_ones() {
    for (message, ..) in messages() {
        verify(message, |event| {
            for change in event.unwrap().changes() {
                assert_eq!(&change.clone().into_owned(), change);
            }
        });
    }
}

#[test]
fn event_reports_the_reason_of_a_revocation() {
    let message = MessageBuilder::revoke("z-1", "grant revoked").session("s");
    verify(message, |event| assert_eq!(event.unwrap().reason(), Some("grant revoked")));
    verify(MessageBuilder::keys("z-1"), |event| assert_eq!(event.unwrap().reason(), None));
}

/// Returns the delegations that a message ends, and its epoch.
fn delegations(message: MessageBuilder) -> (bool, Vec<String>, u64) {
    verify(message, |event| match event.unwrap().changes() {
        [Change::DelegationEpoch(epoch)] => {
            let ended = epoch.ended.iter().map(ToString::to_string).collect();
            (epoch.narrows, ended, epoch.epoch)
        }
        other => panic!("one epoch expected: {other:?}"),
    })
}

#[test]
fn delegation_messages_name_the_ended_edges() {
    use DelegationEvent::{Create, Expire, Revoke};
    for (event, edges, ended) in [
        (Create, &["d"][..], &[][..]),
        (Create, &["d", "e"], &[]),
        (Revoke, &["d"], &["d"]),
        (Revoke, &["d", "e"], &["d", "e"]),
        (Expire, &["d"], &["d"]),
        (Expire, &["d", "e"], &["d", "e"]),
        (Expire, &[], &[]),
    ] {
        let read = delegations(MessageBuilder::delegation("z-1", event, edges, 42));
        let ended = ended.iter().map(ToString::to_string).collect();
        assert_eq!(read, (event != Create, ended, 42), "{event:?} {edges:?}");
    }
}

#[test]
fn delegation_messages_have_the_fields_of_the_producer() {
    let names = |event, edges: &[&str]| {
        let message = MessageBuilder::delegation("z-1", event, edges, 42);
        let fields = message.with("outbox_id", "o-1").into_fields(None, decided());
        fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(
        names(DelegationEvent::Revoke, &["d"]),
        ["zone_id=z-1", "event=edge_revoke", "edge_id=d", "epoch=42", "outbox_id=o-1"]
    );
    // The expiry of a single edge is written as a list too.
    assert_eq!(
        names(DelegationEvent::Expire, &["d"]),
        [
            "zone_id=z-1",
            "event=edge_expire",
            "affected_edges=1",
            r#"edge_ids=["d"]"#,
            "epoch=42",
            "outbox_id=o-1"
        ]
    );
}

#[test]
fn policy_message_names_its_version() {
    let version = |message| {
        verify(message, |event| match event.unwrap().changes() {
            [Change::ReloadPolicy(reload)] => reload.version.as_deref().map(str::to_owned),
            other => panic!("one reload expected: {other:?}"),
        })
    };
    assert_eq!(version(MessageBuilder::policy("z-1", "p", "v-7")).as_deref(), Some("v-7"));
    assert_eq!(version(MessageBuilder::policies("z-1")), None);
}

#[test]
fn field_that_is_set_again_has_the_last_value_only() {
    let message = MessageBuilder::revoke("z-1", "first").session("s").with("reason", "second");
    verify(message.clone(), |event| {
        let event = event.unwrap();
        assert_eq!(event.reason(), Some("second"));
        assert_eq!(event.changes(), [Change::Revoke(anchor("s"))]);
    });
    let fields = message.with("outbox_id", "o-1").into_fields(None, decided());
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let expected =
        [("zone_id", "z-1"), ("session_id", "s"), ("reason", "second"), ("outbox_id", "o-1")];
    assert_eq!(fields, expected);
}

#[test]
fn message_without_zone_or_epoch_names_what_is_missing() {
    for (message, text) in [
        (MessageBuilder::keys(""), "malformed: the message has no zone_id"),
        (MessageBuilder::policies("null"), "malformed: the message has no zone_id"),
        (
            MessageBuilder::delegation("", DelegationEvent::Revoke, &["d"], 42),
            "malformed: the message has no zone_id",
        ),
        (
            MessageBuilder::delegation("z-1", DelegationEvent::Revoke, &["d"], u64::MAX),
            "malformed: epoch is not a decimal number from 0 to 2^63-1",
        ),
    ] {
        verify(message, |event| assert_eq!(event.unwrap_err().to_string(), text));
    }
}

#[test]
fn anchor_is_a_text_other_than_null() {
    assert_eq!(Anchor::new(""), None);
    assert_eq!(Anchor::new("null"), None);
    assert_eq!(anchor("s-1").as_str(), "s-1");
    assert_eq!(anchor("s-1").to_string(), "s-1");
}

#[test]
fn resume_lifts_what_is_earlier_in_both_times() {
    let millis = |time: Option<u64>| time.map(DecidedAt::at_millis);
    for (occurred, decided, lifts) in [
        ((1, 2), (Some(1), Some(2)), true),
        ((1, 1), (Some(1), Some(2)), false),
        ((2, 1), (Some(1), Some(2)), false),
        ((1, 2), (Some(2), Some(2)), false),
        ((1, 2), (Some(3), Some(2)), false),
        ((1, 2), (None, Some(2)), false),
        ((1, 2), (Some(1), None), false),
        ((1, 2), (None, None), false),
    ] {
        let suspension = Suspension {
            session: anchor("a"),
            occurred: at(occurred.0),
            decided: millis(decided.0),
        };
        let resumption = Resumption {
            session: anchor("a"),
            occurred: at(occurred.1),
            decided: millis(decided.1),
        };
        assert_eq!(resumption.lifts(&suspension), lifts, "{occurred:?} {decided:?}");
    }
}
