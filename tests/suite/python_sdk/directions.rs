//! Each side reads the messages that the other has signed.

use std::collections::BTreeMap;

use caracal_revocation::internal::sign;
use caracal_revocation::wire::{DelegationEvent, MessageBuilder, Stream};
use proptest::collection::btree_map;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::sdk::{Read, Sdk};
use crate::delivery::add;
use crate::live::{ZONE, caught_up, eventually, follow, is_admitted, is_revoked, key, publisher};
use crate::redis_server::RedisServer;

/// The key of `live::key(1)`, as the SDK reads it.
fn key_hex() -> String {
    "01".repeat(32)
}

fn read(stream: Stream) -> Value {
    json!({ "do": "read", "stream": stream.name(), "key": key_hex() })
}

#[tokio::test]
async fn sdk_accepts_signatures_of_the_publisher() {
    let Some(sdk) = Sdk::find() else { return };
    let server = RedisServer::start();
    let publisher = publisher(&server).await;
    for message in [
        MessageBuilder::revoke(ZONE, "operator\nü = 1").session("ar-1"),
        MessageBuilder::revoke(ZONE, "").root("root-1").agent_session("gs-1"),
        MessageBuilder::revoke(ZONE, "x").delegation_edge("de-1").with("\u{1f980}", "\u{fffd}"),
        MessageBuilder::delegation(ZONE, DelegationEvent::Create, &["de-2"], 41),
        MessageBuilder::delegation(ZONE, DelegationEvent::Expire, &["de-2", "de-3"], 42),
    ] {
        publisher.publish(message).await.unwrap();
    }
    let streams = [Stream::SessionsRevoke, Stream::DelegationsInvalidate];
    let known: Vec<Read> = sdk.run(&server, &streams.map(read));
    for part in &known {
        assert_eq!((&part.error, &part.dead), (&None, &vec![]));
    }
    assert_eq!(known[0].revoked, ["ar-1", "de-1", "gs-1", "root-1"]);
    assert_eq!(known[1].epochs, BTreeMap::from([(ZONE.to_owned(), 42)]));
}

#[tokio::test]
async fn follower_accepts_signatures_of_the_sdk() {
    let Some(sdk) = Sdk::find() else { return };
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let write = |stream: Stream, fields: Value| json!({ "do": "write", "stream": stream.name(), "key": key_hex(), "fields": fields });
    let _: Vec<Value> = sdk.run(
        &server,
        &[
            write(Stream::SessionsRevoke, json!({ "zone_id": ZONE, "session_id": "ar-1" })),
            write(
                Stream::SessionsRevoke,
                json!({ "root_sid": "ar-2", "reason": "a = ü\nb", "\u{1f980}": "", "\u{fffd}": "1" }),
            ),
            write(Stream::DelegationsInvalidate, json!({ "zone_id": ZONE, "epoch": "7" })),
        ],
    );
    for anchor in ["ar-1", "ar-2"] {
        eventually("the anchor is revoked", || is_revoked(&revocations, anchor)).await;
    }
    eventually("the epoch is 7", || revocations.zone(ZONE).delegation_epoch == 7).await;
    assert!(is_admitted(&revocations, "ar-3"));
}

#[test]
fn signatures_of_random_messages_are_equal() {
    let Some(sdk) = Sdk::find() else { return };
    let server = RedisServer::in_memory();
    // Every character but `=` and the newline in names, which this reader rejects.
    let messages = btree_map("[^=\n]{1,8}", "(?s).{0,12}", 0..8);
    let mut runner = TestRunner::deterministic();
    let messages: Vec<BTreeMap<String, String>> =
        (0..500).map(|_| messages.new_tree(&mut runner).unwrap().current()).collect();
    let steps: Vec<_> = (messages.iter().zip(Stream::ALL.iter().cycle()))
        .map(|(fields, stream)| json!({ "do": "sign", "stream": stream.name(), "key": key_hex(), "fields": fields }))
        .collect();
    let signatures: Vec<String> = sdk.run(&server, &steps);
    for ((fields, stream), theirs) in
        messages.into_iter().zip(Stream::ALL.into_iter().cycle()).zip(signatures)
    {
        let mut fields: Vec<_> = fields.into_iter().collect();
        sign(&key(1), stream, &mut fields);
        let (_, ours) = fields.pop().unwrap();
        assert_eq!(ours, theirs, "{stream} {fields:?}");
    }
}

/// A flush removes the state of the SDK, which it keeps in Redis too.
#[tokio::test]
async fn flush_admits_at_the_sdk_and_not_here() {
    let Some(sdk) = Sdk::find() else { return };
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    publisher.publish(MessageBuilder::revoke(ZONE, "x").session("ar-1")).await.unwrap();
    caught_up(&revocations, &publisher).await;
    let stream = Stream::SessionsRevoke;
    let known: Vec<Option<Read>> =
        sdk.run(&server, &[read(stream), json!({ "do": "flush" }), read(stream)]);
    assert!(known[0].as_ref().unwrap().revoked.contains(&"ar-1".to_owned()));
    assert_eq!(known[2].as_ref().unwrap().revoked, Vec::<String>::new());
    assert!(is_revoked(&revocations, "ar-1"));
}

/// Any client that can write to Redis can do this, without a key.
#[tokio::test]
async fn text_that_is_not_utf8_stops_the_sdk_and_not_the_follower() {
    let Some(sdk) = Sdk::find() else { return };
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    let stream = Stream::SessionsRevoke;
    add(&server, stream.name(), &[(b"reason", b"\xff")]).await;
    let first: Vec<Read> = sdk.run(&server, &[read(stream)]);
    publisher.publish(MessageBuilder::revoke(ZONE, "x").session("ar-1")).await.unwrap();
    let mut again = read(stream);
    again["pending_idle_ms"] = 0.into();
    let later: Vec<Read> = sdk.run(&server, &[again.clone(), again]);
    for read in first.iter().chain(&later) {
        assert_eq!(read.error.as_deref(), Some("UnicodeDecodeError"));
        assert_eq!(read.revoked, Vec::<String>::new());
    }
    eventually("ar-1 is revoked", || is_revoked(&revocations, "ar-1")).await;
}
