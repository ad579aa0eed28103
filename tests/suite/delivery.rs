//! Delivery: from a message in a real Redis to the state of a process.

use std::io::Write;
use std::time::Duration;

use caracal_revocation::internal::sign;
use caracal_revocation::state::{DenyReason, NotReady, OutageCause, UnknownCause, Verdict};
use caracal_revocation::wire::{DelegationEvent, KeyRing, MessageBuilder, OccurredAt, Stream};
use caracal_revocation::{Follower, Publisher};

use crate::live::{
    TIMEOUT, ZONE, caught_up, claims, eventually, eventually_horizon, follow, is_admitted,
    is_revoked, is_unknown, key, publisher, ready, revoke, ring, start_test, verdict,
};
use crate::redis_server::{RedisServer, settings};

/// Writes the fields unchanged, signed or not.
pub(crate) async fn add(server: &RedisServer, stream: &str, fields: &[(&[u8], &[u8])]) -> String {
    let mut command = redis::cmd("XADD");
    command.arg(stream).arg("*");
    for (name, value) in fields {
        command.arg(*name).arg(*value);
    }
    command.query_async(&mut server.connection().await).await.expect("Redis stores the fields")
}

pub(crate) async fn add_signed(
    server: &RedisServer,
    signed_for: Stream,
    put_on: Stream,
    fields: &[(&str, &str)],
) {
    let mut fields: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    sign(&key(1), signed_for, &mut fields);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    add(server, put_on.name(), &fields).await;
}

#[tokio::test]
async fn admits_nothing_before_history_is_replayed() {
    let server = RedisServer::start();
    let follower = Follower::new(server.settings(&ring()));
    let revocations = follower.revocations();
    assert_eq!(is_unknown(&revocations), Some(UnknownCause::NotReady(NotReady::Replaying)));
    let revocations = follower.spawn();
    ready(&revocations).await;
    assert!(is_admitted(&revocations, "anybody"));
}

#[tokio::test]
async fn revocation_reaches_running_follower() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    assert!(is_admitted(&revocations, "ar-1"));
    revoke(&publisher, "ar-1").await;
    eventually("ar-1 is revoked", || is_revoked(&revocations, "ar-1")).await;
    assert!(is_admitted(&revocations, "ar-2"));
}

#[tokio::test]
async fn restart_restores_revocations_before_first_verdict() {
    let server = RedisServer::start();
    let publisher = publisher(&server).await;
    for n in 0..2_500 {
        revoke(&publisher, &format!("ar-{n}")).await;
    }
    let follower = Follower::new(server.settings(&ring()));
    let revocations = follower.revocations();
    let task = tokio::spawn(follower.run(std::future::pending()));
    // Nothing is admitted until the follower is ready; then all revocations are present.
    while is_unknown(&revocations).is_some() {
        tokio::task::yield_now().await;
    }
    assert!((0..2_500).all(|n| is_revoked(&revocations, &format!("ar-{n}"))));
    task.abort();
}

#[tokio::test]
async fn reads_message_dated_by_a_slow_clock() {
    let server = RedisServer::start();
    let mut fields = vec![("sid".to_owned(), "ar-1".to_owned())];
    sign(&key(1), Stream::SessionsRevoke, &mut fields);
    let mut command = redis::cmd("XADD");
    command.arg(Stream::SessionsRevoke.name()).arg("86400000-1");
    for (name, value) in &fields {
        command.arg(name).arg(value);
    }
    command.exec_async(&mut server.connection().await).await.unwrap();
    assert!(is_revoked(&follow(&server).await, "ar-1"));
}

#[tokio::test]
async fn every_stream_changes_its_part_of_the_state() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    let before = revocations.zone(ZONE);
    let at = |text: &str| OccurredAt::parse(text).unwrap();
    for message in [
        MessageBuilder::revoke(ZONE, "x")
            .root("root-1")
            .agent_session("gs-1")
            .delegation_edge("de-1"),
        MessageBuilder::keys(ZONE),
        MessageBuilder::policy(ZONE, "ps-1", "v-2"),
        MessageBuilder::delegation(ZONE, DelegationEvent::Expire, &["de-2", "de-3"], 41),
        MessageBuilder::delegation(ZONE, DelegationEvent::Create, &["de-4"], 42),
        MessageBuilder::terminate(ZONE, "gs-2"),
        MessageBuilder::suspend(ZONE, "gs-3", at("2026-11-20T10:00:00.123Z")),
    ] {
        publisher.publish(message).await.unwrap();
    }
    for session in ["root-1", "gs-1", "de-1", "de-2", "de-3", "gs-2"] {
        eventually(session, || is_revoked(&revocations, session)).await;
    }
    eventually("gs-3 is suspended", || {
        matches!(verdict(&revocations, &claims("gs-3")),
            Verdict::Denied(denial) if denial.reason() == DenyReason::Suspended)
    })
    .await;
    eventually("the zone's versions are updated", || {
        let zone = revocations.zone(ZONE);
        (zone.delegation_epoch, zone.delegation_ended_epoch) == (42, 41)
            && zone.keys_generation > before.keys_generation
            && zone.policy_generation > before.policy_generation
    })
    .await;
    assert!(is_admitted(&revocations, "de-4"), "a new delegation is not revoked");
    // A resume lifts suspensions decided in an earlier millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
    publisher
        .publish(MessageBuilder::resume(ZONE, "gs-3", at("2026-11-20T10:05:00.000Z")))
        .await
        .unwrap();
    eventually("gs-3 is resumed", || is_admitted(&revocations, "gs-3")).await;
}

#[tokio::test]
async fn unusable_message_changes_and_stops_nothing() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    let stream = Stream::SessionsRevoke;
    let forged = "00".repeat(32);
    add(&server, stream.name(), &[(b"sid", b"forged"), (b"_sig", forged.as_bytes())]).await;
    add(&server, stream.name(), &[(b"sid", b"unsigned")]).await;
    add(&server, stream.name(), &[(b"\xff\xfe", b"\x80"), (b"sid", b"\xc3\x28")]).await;
    add(&server, stream.name(), &[(b"", b"")]).await;
    let huge = vec![b'x'; 1 << 20];
    add(&server, stream.name(), &[(b"sid", &huge), (b"_sig", &huge)]).await;
    add_signed(&server, Stream::KeysInvalidate, stream, &[("zone_id", ZONE), ("sid", "moved")])
        .await;
    add_signed(&server, stream, stream, &[("zone_id", ZONE), ("reason", "no anchor")]).await;
    // A signed message, cut again so that a repeated field hides the signed value.
    let mut twice = vec![("sid".to_owned(), "second".to_owned())];
    sign(&key(1), stream, &mut twice);
    add(
        &server,
        stream.name(),
        &[(b"sid", b"first"), (b"sid", b"second"), (b"_sig", twice[1].1.as_bytes())],
    )
    .await;
    caught_up(&revocations, &publisher).await;
    for session in ["forged", "unsigned", "moved", "first", "second"] {
        assert!(is_admitted(&revocations, session), "{session}");
    }
    assert_eq!(revocations.entries(), 1, "only the marker of `caught_up`");
}

#[tokio::test]
async fn resplit_message_revokes_its_own_fields() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    let stream = Stream::SessionsRevoke;
    add_signed(&server, stream, stream, &[("agent_session_id", "gs-1"), ("note", "a\nsid=hidden")])
        .await;
    caught_up(&revocations, &publisher).await;
    assert!(is_revoked(&revocations, "gs-1"));
    assert!(!is_revoked(&revocations, "hidden"));
    // The horizon covers the hidden field.
    eventually_horizon(&revocations).await;
}

#[tokio::test]
async fn accepts_both_keys_during_rotation() {
    let server = RedisServer::start();
    let both = KeyRing::new(key(2)).with_previous(key(1));
    let revocations = Follower::new(server.settings(&both)).spawn();
    ready(&revocations).await;
    let old = publisher(&server).await;
    let new = Publisher::connect(&server.settings(&both)).await.unwrap();
    revoke(&old, "by-the-old-key").await;
    revoke(&new, "by-the-new-key").await;
    for session in ["by-the-old-key", "by-the-new-key"] {
        eventually(session, || is_revoked(&revocations, session)).await;
    }
}

#[tokio::test]
async fn wrong_key_is_not_ready_until_a_message_verifies() {
    let server = RedisServer::start();
    let publisher = publisher(&server).await;
    revoke(&publisher, "ar-1").await;
    let revocations = Follower::new(server.settings(&KeyRing::new(key(9)))).spawn();
    let why = Some(UnknownCause::NotReady(NotReady::NoSignatureVerifies));
    eventually("the wrong key is detected", || is_unknown(&revocations) == why).await;
    let right = Publisher::connect(&server.settings(&KeyRing::new(key(9)))).await.unwrap();
    revoke(&right, "ar-2").await;
    ready(&revocations).await;
    assert!(is_revoked(&revocations, "ar-2"));
}

#[tokio::test]
async fn connects_with_password_user_and_unix_socket() {
    let folder = tempfile::TempDir::new().unwrap();
    let socket = folder.path().join("redis.sock");
    let socket = socket.to_str().unwrap();
    let server = RedisServer::start_with(&[
        "--appendonly",
        "yes",
        "--requirepass",
        "hunter2",
        "--unixsocket",
        socket,
        "--user",
        "follower",
        "on",
        ">secret",
        "~caracal.*",
        "+xread",
        "+xinfo",
        "+time",
        "+info",
    ]);
    let port = server.port();
    for url in [
        format!("redis://:hunter2@127.0.0.1:{port}"),
        format!("unix://{socket}?pass=hunter2"),
        // This user cannot run CONFIG: the check is skipped and delays nothing.
        format!("redis://follower:secret@127.0.0.1:{port}"),
    ] {
        let revocations = Follower::new(settings(&url, &ring())).spawn();
        tokio::time::timeout(TIMEOUT, revocations.ready())
            .await
            .unwrap_or_else(|_| panic!("never ready: {url}"));
    }
    let wrong = format!("redis://:wrong@127.0.0.1:{port}");
    let revocations = Follower::new(settings(&wrong, &ring())).spawn();
    eventually("the login fails", || {
        revocations.readiness(revocations.now()).outage == Some(OutageCause::Login)
    })
    .await;
    assert!(is_unknown(&revocations).is_some());
}

#[tokio::test]
async fn flushed_server_raises_the_horizon_and_is_followed() {
    let server = RedisServer::start();
    let publisher = publisher(&server).await;
    revoke(&publisher, "ar-1").await;
    let revocations = follow(&server).await;
    assert_eq!(revocations.horizon(), None);
    redis::cmd("FLUSHALL").exec_async(&mut server.connection().await).await.unwrap();
    eventually_horizon(&revocations).await;
    assert!(is_revoked(&revocations, "ar-1"), "the revocation stays");
    let mut old = claims("ar-2");
    old.iat = 1_700_000_000;
    assert!(matches!(verdict(&revocations, &old),
        Verdict::Denied(denial) if denial.reason() == DenyReason::HistoryIncomplete));
    revoke(&publisher, "ar-3").await;
    eventually("ar-3 is revoked", || is_revoked(&revocations, "ar-3")).await;
    assert!(is_admitted(&revocations, "ar-2"), "a token issued after the gap is admitted");
}

#[tokio::test]
async fn harmless_trimming_raises_no_horizon() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    for _ in 0..20 {
        revoke(&publisher, "ar-1").await;
        caught_up(&revocations, &publisher).await;
        let mut command = redis::cmd("XTRIM");
        command.arg(Stream::SessionsRevoke.name()).arg("MAXLEN").arg(1);
        command.exec_async(&mut server.connection().await).await.unwrap();
    }
    caught_up(&revocations, &publisher).await;
    assert_eq!(revocations.horizon(), None);
}

#[tokio::test]
async fn start_in_trimmed_history_denies_older_tokens() {
    let server = RedisServer::start();
    let publisher = publisher(&server).await;
    for n in 0..10 {
        revoke(&publisher, &format!("ar-{n}")).await;
    }
    let mut command = redis::cmd("XTRIM");
    command.arg(Stream::SessionsRevoke.name()).arg("MAXLEN").arg(3);
    command.exec_async(&mut server.connection().await).await.unwrap();
    let revocations = follow(&server).await;
    eventually_horizon(&revocations).await;
    assert!(is_revoked(&revocations, "ar-9"));
}

const CHILD: &str = "CARACAL_TEST_CHILD_URL";

/// The process that the next test starts twice.
#[tokio::test]
async fn child_process() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let revocations = Follower::new(settings(&url, &ring())).spawn();
    ready(&revocations).await;
    println!("child is ready");
    std::io::stdout().flush().unwrap();
    eventually("the child reads the revocation", || is_revoked(&revocations, "ar-1")).await;
    println!("child has read it");
}

#[tokio::test]
async fn two_processes_read_one_revocation() {
    let server = RedisServer::start();
    let mut children =
        [(); 2].map(|()| start_test("delivery::child_process", CHILD, &server.url()));
    for (_, lines) in &mut children {
        assert!(lines.any(|line| line.contains("child is ready")));
    }
    revoke(&publisher(&server).await, "ar-1").await;
    for (child, lines) in &mut children {
        assert!(lines.any(|line| line.contains("child has read it")));
        assert!(child.wait().unwrap().success());
    }
}
