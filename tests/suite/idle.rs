//! Connections that a server or proxy closes while they are idle: every client reconnects without
//! an error.

use std::time::{Duration, Instant};

use caracal_revocation::admin::Inspector;
use caracal_revocation::effects::{Delivery, EffectRunner};
use caracal_revocation::stream::Canary;
use caracal_revocation::wire::{Change, Stream, StreamId};
use caracal_revocation::{Follower, Publisher};

use crate::delivery::add;
use crate::live::{TIMEOUT, caught_up, eventually, publisher, ready, revoke, ring};
use crate::redis_server::RedisServer;
use crate::snapshot::Logged;

const STREAM: &str = Stream::SessionsRevoke.name();

/// Closes every connection to the server except those of followers, as an idle limit does.
async fn close_all(server: &RedisServer) {
    let mut connection = server.connection().await;
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut connection).await.unwrap();
    for client in list.lines() {
        let of = |name: &str| {
            let field = client.split(' ').find_map(|field| field.strip_prefix(name));
            field.unwrap_or_default().to_owned()
        };
        if !matches!(&*of("cmd="), "client|list" | "xread") {
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("ID").arg(of("id="));
            kill.exec_async(&mut connection).await.unwrap();
        }
    }
}

async fn length(server: &RedisServer, key: &str) -> u64 {
    redis::cmd("XLEN").arg(key).query_async(&mut server.connection().await).await.unwrap()
}

async fn reaches(server: &RedisServer, key: &str, expected: u64) {
    let start = Instant::now();
    while length(server, key).await < expected {
        assert!(start.elapsed() < TIMEOUT, "{key} has fewer than {expected}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn publishes_after_server_closed_idle_connection() {
    let server = RedisServer::start();
    let publisher = publisher(&server).await;
    revoke(&publisher, "ar-1").await;
    let mut connection = server.connection().await;
    let mut limit = redis::cmd("CONFIG");
    limit.arg("SET").arg("timeout").arg(1);
    limit.exec_async(&mut connection).await.unwrap();
    let start = Instant::now();
    loop {
        let list: String =
            redis::cmd("CLIENT").arg("LIST").query_async(&mut connection).await.unwrap();
        if list.lines().count() == 1 {
            break;
        }
        assert!(start.elapsed() < TIMEOUT, "{list}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    revoke(&publisher, "ar-2").await;
    assert_eq!(length(&server, STREAM).await, 2);
}

#[tokio::test]
async fn inspects_after_connection_was_closed() {
    let server = RedisServer::start();
    revoke(&publisher(&server).await, "ar-1").await;
    let mut inspector = Inspector::connect(&server.settings(&ring())).await.unwrap();
    close_all(&server).await;
    inspector.stream(STREAM).await.unwrap();
    close_all(&server).await;
    assert_eq!(inspector.entries(STREAM, StreamId::ZERO, 9).await.unwrap().len(), 1);
    close_all(&server).await;
    inspector.server().await.unwrap();
    close_all(&server).await;
    inspector.provision().await.unwrap();
}

#[tokio::test]
async fn closed_idle_connections_are_not_logged() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start();
    let revocations = Follower::new(server.settings(&ring())).with_receipts("gw-1").spawn();
    ready(&revocations).await;
    let publisher = Publisher::connect(&server.settings(&ring())).await.unwrap();
    caught_up(&revocations, &publisher).await;
    let canary = Canary::new(&server.settings(&ring())).every(Duration::from_secs(1)).spawn();
    eventually("a canary is seen", || canary.is_alive()).await;
    let (sender, mut done) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |delivery: Delivery| {
        let session = match delivery.changes() {
            [Change::Revoke(anchor)] => anchor.to_string(),
            other => panic!("{other:?}"),
        };
        let _ = sender.send(session);
        std::future::ready(Ok(()))
    };
    let runner = EffectRunner::new(&server.settings(&ring()), Stream::SessionsRevoke, "group");
    let work = tokio::spawn(runner.run(handler, std::future::pending()));
    let dead = format!("{STREAM}.dead");
    let (mut letters, mut is_begun) = (0, false);
    for round in 0..3 {
        // A runner reads only messages that arrive after its start.
        let session = format!("ar-{round}");
        while !is_begun {
            revoke(&publisher, &session).await;
            is_begun = tokio::time::timeout(Duration::from_millis(100), done.recv()).await.is_ok();
            assert!(!work.is_finished());
        }
        add(&server, STREAM, &[(b"sid", b"forged")]).await;
        letters += 1;
        reaches(&server, &dead, letters).await;
        let canaries = length(&server, "caracal.revocation.canary").await;
        close_all(&server).await;
        revoke(&publisher, "effect").await;
        while done.recv().await.unwrap() != "effect" {}
        caught_up(&revocations, &publisher).await;
        reaches(&server, "caracal.revocation.canary", canaries + 2).await;
    }
    assert!(canary.is_alive());
    let lines = [logged.lines("WARN"), logged.lines("ERROR")].concat();
    // Messages about unsigned entries are expected.
    let of_messages = |line: &String| {
        line.contains("dead-lettered") || line.contains("no accepted key has signed")
    };
    let lines: Vec<_> = lines.iter().filter(|line| !of_messages(line)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}
