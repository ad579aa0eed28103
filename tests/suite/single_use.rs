//! The record of used mandates in a real Redis: one first use in a whole fleet, and an error while
//! Redis cannot be asked.

use std::time::{Duration, Instant};

use caracal_revocation::admin::acl;
use caracal_revocation::state::{UseOutcome, UseRecord, UseRecordError};
use caracal_revocation::stream::UsedMandates;
use caracal_revocation::wire::Stream;
use caracal_test_support::sentinel::Sentinel;

use crate::cluster_fleet::{Cluster, HOME, Move};
use crate::live::{TIMEOUT, eventually, ring};
use crate::redis_server::{RedisServer, settings};
use crate::rights::{captured, denied_commands};
use crate::sentinel_fleet::{list, pair};
use crate::tls::allow;

const KEPT: Duration = Duration::from_secs(600);

fn used(server: &RedisServer) -> UsedMandates {
    UsedMandates::new(&server.settings(&ring()))
}

async fn record(used: &UsedMandates, id: &str) -> Result<UseOutcome, UseRecordError> {
    used.record(id, "req-1", KEPT).await
}

/// Tries new ids until one is recorded, and returns it.
async fn recovers(used: &UsedMandates, prefix: &str) -> String {
    let start = Instant::now();
    let mut n = 0;
    loop {
        let id = format!("{prefix}-{n}");
        match record(used, &id).await {
            Ok(outcome) => {
                assert_eq!(outcome, UseOutcome::First, "{id}");
                return id;
            }
            Err(error) => assert!(start.elapsed() < TIMEOUT, "{id}: {error}"),
        }
        n += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns `true` if Redis answered too late, as it may on a busy machine.
fn is_late(error: &UseRecordError) -> bool {
    error.to_string().contains("did not answer within")
}

/// Tries one id until the record answers. An attempt without an answer may have recorded it.
async fn is_replay(used: &UsedMandates, id: &str) {
    let start = Instant::now();
    loop {
        match record(used, id).await {
            Ok(outcome) => return assert_eq!(outcome, UseOutcome::Replayed, "{id}"),
            Err(error) => assert!(start.elapsed() < TIMEOUT, "{id}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_of_racing_uses_is_the_first() {
    let server = RedisServer::in_memory();
    let replicas = [used(&server), used(&server), used(&server)];
    recovers(&replicas[0], "warm").await;
    let (start, mut rounds, mut last) = (Instant::now(), 0, String::new());
    for round in 0.. {
        let id = format!("jti-{round}");
        last.clone_from(&id);
        let uses: Vec<_> = (0..60)
            .map(|n| {
                let (used, id) = (replicas[n % 3].clone(), id.clone());
                tokio::spawn(async move { used.record(&id, &format!("req-{n}"), KEPT).await })
            })
            .collect();
        let (mut first, mut late) = (0, 0);
        for outcome in uses {
            match outcome.await.unwrap() {
                Ok(UseOutcome::First) => first += 1,
                Ok(UseOutcome::Replayed) => {}
                Err(error) if is_late(&error) => late += 1,
                Err(error) => panic!("{id}: {error}"),
            }
        }
        assert!(first <= 1, "{id}: {first} first uses");
        assert!(first == 1 || late > 0, "{id}: no first use");
        rounds += u32::from(late == 0);
        if rounds == 20 {
            break;
        }
        assert!(start.elapsed() < TIMEOUT, "only {rounds} rounds without a late answer");
    }
    let mut connection = server.connection().await;
    let mut pttl = redis::cmd("PTTL");
    let left: u64 =
        pttl.arg(format!("seen:jti:{last}")).query_async(&mut connection).await.unwrap();
    assert!((1..=KEPT.as_millis()).contains(&left.into()), "{left}");
    let mut get = redis::cmd("GET");
    let by: String =
        get.arg(format!("seen:jti:{last}")).query_async(&mut connection).await.unwrap();
    assert!(by.starts_with("req-"), "{by}");
}

#[tokio::test]
async fn documented_right_suffices_and_missing_one_is_logged() {
    let server = RedisServer::in_memory();
    let url = format!("redis://user:secret@127.0.0.1:{}", server.port());
    allow(&server, "user", acl::SINGLE_USE).await;
    let granted = UsedMandates::new(&settings(&url, &ring()));
    let id = recovers(&granted, "granted").await;
    is_replay(&granted, &id).await;
    let denied = denied_commands(&server).await;
    assert!(denied.is_empty(), "{denied:?}");
    for right in acl::SINGLE_USE.split(' ') {
        let rest = acl::SINGLE_USE.replace(right, "");
        allow(&server, "user", &rest).await;
        let (lines, _guard) = captured();
        let less = UsedMandates::new(&settings(&url, &ring()));
        let error = record(&less, "jti-1").await.unwrap_err();
        assert!(error.to_string().contains("NOPERM"), "{error}");
        let names_rights = |line: &str| line.contains("NOPERM") && line.contains(acl::SINGLE_USE);
        eventually(right, || lines.text().lines().any(names_rights)).await;
    }
}

#[tokio::test]
async fn killed_redis_is_an_error_until_it_is_back() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let used = used(&server);
    let before = recovers(&used, "before").await;
    server.kill();
    let start = Instant::now();
    let error = record(&used, "during").await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20), "{error}");
    server.restart();
    recovers(&used, "after").await;
    is_replay(&used, &before).await;
}

#[tokio::test]
async fn hung_redis_is_an_error_and_the_mandate_may_count_as_used() {
    let server = RedisServer::in_memory();
    let used = used(&server);
    recovers(&used, "before").await;
    server.freeze();
    let error = record(&used, "during").await.unwrap_err();
    assert!(is_late(&error), "{error}");
    server.thaw();
    recovers(&used, "after").await;
    // The command had been sent: Redis runs it once it continues.
    is_replay(&used, "during").await;
}

#[tokio::test]
async fn connection_closed_while_idle_costs_no_request() {
    let server = RedisServer::in_memory();
    let used = used(&server);
    recovers(&used, "before").await;
    for n in 0..5 {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("NORMAL").arg("SKIPME").arg("yes");
        kill.exec_async(&mut server.connection().await).await.unwrap();
        match record(&used, &format!("after-{n}")).await {
            Ok(outcome) => assert_eq!(outcome, UseOutcome::First),
            Err(error) => assert!(is_late(&error), "{error}"),
        }
    }
}

#[tokio::test]
async fn replica_is_an_error_and_its_primary_records() {
    let (primary, replica) = pair(&["--appendonly", "no"]).await;
    let on_replica = used(&replica);
    let error = record(&on_replica, "jti-1").await.unwrap_err();
    assert!(error.to_string().contains("READONLY"), "{error}");
    let urls = [("REDIS_URL", replica.url()), ("REDIS_PRIMARY_URL", primary.url())];
    let settings = caracal_revocation::Settings::from_lookup(|name| {
        let mode = (name == "CARACAL_MODE").then(|| "dev".to_owned());
        mode.or_else(|| urls.iter().find(|(key, _)| *key == name).map(|(_, url)| url.clone()))
    });
    recovers(&UsedMandates::new(&settings.unwrap()), "primary").await;
}

#[tokio::test]
async fn records_on_new_primary_that_sentinels_name() {
    let (mut primary, _replica) = pair(&["--appendonly", "yes"]).await;
    let sentinels: Vec<_> = (0..3).map(|_| Sentinel::start(primary.port(), "").unwrap()).collect();
    for sentinel in &sentinels {
        sentinel.wait_for_peers(2).await;
    }
    let ports = list(sentinels.iter().map(|sentinel| sentinel.port()));
    let used = UsedMandates::new(&crate::sentinel_fleet::settings(&ports, &[]).unwrap());
    let before = recovers(&used, "before").await;
    let mut wait = redis::cmd("WAIT");
    wait.arg(1).arg(5_000);
    let _: u64 = wait.query_async(&mut primary.connection().await).await.unwrap();
    primary.kill();
    record(&used, "during").await.unwrap_err();
    recovers(&used, "after").await;
    is_replay(&used, &before).await;
}

#[tokio::test]
async fn records_on_every_master_of_a_cluster_and_follows_a_moved_slot() {
    let cluster = Cluster::start().await;
    let used = UsedMandates::new(&cluster.settings());
    recovers(&used, "warm").await;
    for expected in [UseOutcome::First, UseOutcome::Replayed] {
        let uses: Vec<_> = (0..200)
            .map(|n| {
                let used = used.clone();
                tokio::spawn(async move { record(&used, &format!("jti-{n}")).await })
            })
            .collect();
        for outcome in uses {
            match outcome.await.unwrap() {
                Ok(outcome) => assert_eq!(outcome, expected),
                Err(error) => assert!(is_late(&error), "{error}"),
            }
        }
    }
    // The text in braces puts the key into the slot of this stream.
    let id = |n| format!("{{{}}}-{n}", Stream::SessionsRevoke.name());
    let slot = Move::of(&cluster, Stream::SessionsRevoke, HOME, 0);
    slot.begin().await;
    slot.end().await;
    // The old owner names the new one, and the use is recorded there.
    match record(&used, &id(1)).await {
        Ok(outcome) => assert_eq!(outcome, UseOutcome::First),
        Err(error) => assert!(is_late(&error), "{error}"),
    }
    is_replay(&used, &id(1)).await;

    // A slot that moves away accepts no new keys, and none is recorded until it has moved.
    // A master with keys of a slot cannot give it away.
    redis::cmd("FLUSHALL").exec_async(&mut cluster.masters[0].connection().await).await.unwrap();
    let slot = Move::of(&cluster, Stream::SessionsRevoke, 0, 1);
    slot.begin().await;
    let error = record(&used, &id(2)).await.unwrap_err();
    assert!(error.to_string().contains("ASK"), "{error}");
    slot.end().await;
    recovers(&used, &id(3)).await;
}
