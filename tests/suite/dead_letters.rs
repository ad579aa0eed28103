//! Dead letters: messages that cannot be used.

use std::time::Duration;

use caracal_revocation::Follower;
use caracal_revocation::admin::acl;
use caracal_revocation::internal::sign;
use caracal_revocation::state::{Degraded, NotReady, UnknownCause};
use caracal_revocation::stream::DeadLetter;
use caracal_revocation::wire::{KeyRing, KeySlot, Message, Stream};
use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::delivery::{add, add_signed};
use crate::live::{
    TIMEOUT, caught_up, eventually, follow, is_admitted, is_revoked, is_unknown, key, publisher,
    ready, revoke, ring,
};
use crate::redis_server::{RedisServer, settings};
use crate::snapshot::Logged;

pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

async fn dead(connection: &mut MultiplexedConnection, stream: Stream) -> Vec<Fields> {
    let entries: Vec<(String, Fields)> = redis::cmd("XRANGE")
        .arg(format!("{stream}.dead"))
        .arg("-")
        .arg("+")
        .query_async(connection)
        .await
        .unwrap();
    entries.into_iter().map(|(_, fields)| fields).collect()
}

/// Polls until there are at least `count` dead letters, and returns all of them.
pub(crate) async fn eventually_dead(
    server: &RedisServer,
    stream: Stream,
    count: usize,
) -> Vec<Fields> {
    let mut connection = server.connection().await;
    let start = std::time::Instant::now();
    loop {
        let letters = dead(&mut connection, stream).await;
        if letters.len() >= count {
            return letters;
        }
        assert!(start.elapsed() < TIMEOUT, "{} of {count} dead letters", letters.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn read(fields: &Fields) -> (DeadLetter, Result<KeySlot, String>) {
    let fields: Vec<(&[u8], &[u8])> =
        fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
    let message = Message::new(Stream::SessionsRevoke, &fields);
    let signed = ring().verify_dead_letter(&message).map_err(|rejection| rejection.to_string());
    (DeadLetter::parse(&fields).unwrap(), signed)
}

async fn add_unusable(server: &RedisServer) {
    let stream = Stream::SessionsRevoke;
    add(server, stream.name(), &[(b"sid", b"forged"), (b"note", b"\xff")]).await;
    add(server, stream.name(), &[(b"sid", b"a"), (b"sid", b"b")]).await;
    add_signed(server, stream, stream, &[("zone_id", "z"), ("reason", "no anchor")]).await;
    add_signed(server, stream, stream, &[("sid", "clean"), ("edge_id", "un\nclean")]).await;
}

#[tokio::test]
async fn fleet_writes_each_dead_letter_once_and_signed() {
    let server = RedisServer::start();
    let fleet = [follow(&server).await, follow(&server).await, follow(&server).await];
    add_unusable(&server).await;
    let letters = eventually_dead(&server, Stream::SessionsRevoke, 4).await;
    let read: Vec<_> = letters.iter().map(read).collect();
    let errors: Vec<_> = read.iter().map(|(letter, _)| letter.error()).collect();
    assert_eq!(
        errors,
        [
            "signature: the message has no _sig",
            "ambiguous: a field name occurs twice",
            "malformed: the message names no anchor",
            "re-cut: its clean parts were acted on",
        ]
    );
    assert!(read.iter().all(|(_, signed)| signed == &Ok(KeySlot::Current)), "{read:?}");
    let fields = read[1].0.fields().unwrap();
    assert_eq!(fields, [("sid".into(), "a".into()), ("sid".into(), "b".into())]);

    // The whole fleet, and a follower that starts only now, have read the rest.
    let publisher = publisher(&server).await;
    let late = follow(&server).await;
    for revocations in fleet.iter().chain([&late]) {
        caught_up(revocations, &publisher).await;
    }
    add(&server, Stream::SessionsRevoke.name(), &[(b"sid", b"the last")]).await;
    let letters = eventually_dead(&server, Stream::SessionsRevoke, 5).await;
    assert_eq!(letters.len(), 5, "{letters:?}");
}

#[tokio::test]
async fn wrong_key_moves_no_valid_message() {
    let server = RedisServer::start();
    let publisher = publisher(&server).await;
    for n in 0..1_000 {
        revoke(&publisher, &format!("good-{n}")).await;
    }
    let follower = Follower::new(server.settings(&KeyRing::new(key(9))));
    let revocations = follower.revocations();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let end = tokio::spawn(follower.run(async { stopped.await.unwrap_or(()) }));
    let why = Some(UnknownCause::NotReady(NotReady::NoSignatureVerifies));
    eventually("the wrong key is noticed", || is_unknown(&revocations) == why).await;
    // Shutdown leaves time to write pending dead letters.
    stop.send(()).unwrap();
    end.await.unwrap();
    let mut connection = server.connection().await;
    assert_eq!(dead(&mut connection, Stream::SessionsRevoke).await.len(), 0);
}

#[tokio::test]
async fn forgeries_before_first_valid_message_are_written_after_it() {
    let server = RedisServer::start();
    let stream = Stream::SessionsRevoke;
    for session in [b"forged-1", b"forged-2"] {
        add(&server, stream.name(), &[(b"sid", session)]).await;
    }
    revoke(&publisher(&server).await, "good").await;
    let _revocations = follow(&server).await;
    let letters = eventually_dead(&server, stream, 2).await;
    assert_eq!(letters.len(), 2);
}

#[tokio::test]
async fn changed_producer_key_logs_one_alarm_and_its_end() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let degraded = || revocations.readiness(revocations.now()).degraded;
    // Dated ten minutes ago, so that the alarm may end with the first message that verifies.
    let time: (u64, u64) =
        redis::cmd("TIME").query_async(&mut server.connection().await).await.unwrap();
    let mut fields = vec![("sid".to_owned(), "hidden".to_owned())];
    sign(&key(9), Stream::SessionsRevoke, &mut fields);
    for n in 0..5 {
        let mut add = redis::cmd("XADD");
        add.arg(Stream::SessionsRevoke.name()).arg(format!("{}-{n}", (time.0 - 600) * 1_000));
        for (name, value) in &fields {
            add.arg(name).arg(value);
        }
        add.exec_async(&mut server.connection().await).await.unwrap();
    }
    eventually("the alarm is raised", || degraded() == Some(Degraded::SignaturesFail)).await;
    assert!(revocations.readiness(revocations.now()).is_ready());
    assert!(
        is_admitted(&revocations, "hidden"),
        "a documented exception: signatures never change readiness alone"
    );
    revoke(&publisher(&server).await, "good").await;
    eventually("the alarm ends", || degraded().is_none()).await;

    let [begun] = logged.lines("no accepted key has signed").try_into().unwrap();
    assert!(begun.contains("ERROR") && begun.contains("STREAMS_HMAC_KEY"), "{begun}");
    let [ended] = logged.lines("every message verifies again").try_into().unwrap();
    assert!(ended.contains("INFO"), "{ended}");
}

#[tokio::test]
async fn flood_of_forgeries_delays_no_revocation() {
    let server = RedisServer::start();
    let revocations = follow(&server).await;
    let publisher = publisher(&server).await;
    let mut connection = server.connection().await;
    let mut flood = redis::pipe();
    for _ in 0..3_000 {
        flood.cmd("XADD").arg(Stream::SessionsRevoke.name()).arg("*").arg("sid").arg("forged");
    }
    flood.exec_async(&mut connection).await.unwrap();
    caught_up(&revocations, &publisher).await;
    let written = dead(&mut connection, Stream::SessionsRevoke).await.len();
    assert!(written < 2_000, "{written} were written before the revocation was read");
    eventually_dead(&server, Stream::SessionsRevoke, written + 5).await;
}

#[tokio::test]
async fn wrong_key_type_disables_only_its_own_dead_letters() {
    let logged = crate::errors::Logged::from_now();
    let server = RedisServer::start();
    let mut connection = server.connection().await;
    let mark = "{caracal.sessions.revoke.dead}:mark";
    let letters = "caracal.delegations.invalidate.dead";
    redis::pipe()
        .cmd("LPUSH")
        .arg(mark)
        .arg("no id")
        .cmd("SET")
        .arg(letters)
        .arg("no stream")
        .exec_async(&mut connection)
        .await
        .unwrap();
    let revocations = follow(&server).await;
    // Until a message has verified, the key may be wrong.
    caught_up(&revocations, &publisher(&server).await).await;
    for stream in Stream::ALL {
        add(&server, stream.name(), &[(b"sid", b"forged")]).await;
    }
    for stream in [Stream::AgentsLifecycle, Stream::KeysInvalidate, Stream::PolicyInvalidate] {
        eventually_dead(&server, stream, 1).await;
    }
    // The streams after them are still written.
    add(&server, Stream::SessionsRevoke.name(), &[(b"sid", b"forged")]).await;
    add(&server, Stream::KeysInvalidate.name(), &[(b"sid", b"forged")]).await;
    eventually_dead(&server, Stream::KeysInvalidate, 2).await;
    caught_up(&revocations, &publisher(&server).await).await;
    assert_eq!(dead(&mut connection, Stream::SessionsRevoke).await.len(), 0);
    assert_eq!(logged.lines_with(mark), 1, "logged once");
    assert_eq!(logged.lines_with(letters), 1, "logged once");
}

#[tokio::test]
async fn retries_dead_letter_that_redis_rejects() {
    let server = RedisServer::start();
    let _revocations = follow(&server).await;
    let mut connection = server.connection().await;
    add_unusable(&server).await;
    eventually_dead(&server, Stream::SessionsRevoke, 4).await;
    let set = async |value: &str, mut connection: MultiplexedConnection| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory").arg(value);
        command.exec_async(&mut connection).await.unwrap();
    };
    // In one transaction, so that the message is stored before the memory is full.
    redis::pipe()
        .atomic()
        .cmd("XADD")
        .arg(Stream::SessionsRevoke.name())
        .arg("*")
        .arg("sid")
        .arg("forged")
        .cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg("1")
        .query_async::<Value>(&mut connection)
        .await
        .unwrap();
    eventually("a dead letter is rejected", || {
        server.info("errorstats", "errorstat_OOM").is_some()
    })
    .await;
    assert_eq!(dead(&mut connection, Stream::SessionsRevoke).await.len(), 4);
    set("0", connection.clone()).await;
    eventually_dead(&server, Stream::SessionsRevoke, 5).await;
}

#[tokio::test]
async fn read_only_user_follows_and_writes_nothing() {
    let server = RedisServer::start();
    let mut connection = server.connection().await;
    for (user, rules) in [("reader", acl::FOLLOW), ("writer", acl::FOLLOWER)] {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg(user).arg("reset").arg("on").arg(">secret");
        command.arg(rules.split_whitespace().collect::<Vec<_>>());
        command.exec_async(&mut connection).await.unwrap();
    }
    let follow_as = async |user: &str| {
        let url = format!("redis://{user}:secret@127.0.0.1:{}", server.port());
        let revocations = Follower::new(settings(&url, &ring())).spawn();
        ready(&revocations).await;
        revocations
    };
    let reader = follow_as("reader").await;
    add_unusable(&server).await;
    caught_up(&reader, &publisher(&server).await).await;
    assert!(is_revoked(&reader, "clean"));
    assert_eq!(dead(&mut connection, Stream::SessionsRevoke).await.len(), 0);

    let _writer = follow_as("writer").await;
    eventually_dead(&server, Stream::SessionsRevoke, 4).await;
}
