//! A follower with Postgres beside the streams.

use std::time::{Duration, Instant};

use caracal_revocation_event::{Key, KeyRing, Notice};
use caracal_revocation_state::{Checks, Claims, Reason, Revocations, Verdict};
use caracal_revocation_stream::{Follower, InProcess, Publisher};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::reading::postgres;
use crate::server::PostgresServer;

const LONG_AGO: i64 = 1_000_000_000;

fn refused(revocations: &Revocations, sid: &str) -> Option<Reason> {
    let mut claims = Claims::new(sid, LONG_AGO, LONG_AGO + 900);
    claims.usage = Some("resource".into());
    let mut checks = Checks::default();
    // Such a token has expired: what is asked is how far a horizon and a baseline reach.
    checks.lifetime = false;
    match revocations.decide(&claims, &checks, revocations.now()) {
        Verdict::Refused(refusal) => Some(refusal.reason()),
        Verdict::Admitted(_) => None,
        Verdict::Unknown(why) => panic!("{why:?}"),
    }
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Publishes a signed message that somebody re-cut: what it hid is lost.
async fn lose(publisher: &Publisher) {
    let recut = Notice::revoke("z1", "operator").session("ar-9").with("edge_id", "un\nclean");
    publisher.publish(recut).await.unwrap();
}

#[tokio::test]
async fn a_loss_is_closed_by_a_reading_after_it_and_by_nothing_that_failed() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let mut server = PostgresServer::start().await;
    server.run("INSERT INTO authority_records VALUES ('ar-1', 'z1', 'revoked')").await;
    let (streams, key) = (InProcess::new(), Key::generate().unwrap());
    let publisher = Publisher::in_process(&streams, Some(key.clone()));
    let follower = Follower::in_process(&streams, KeyRing::new(key))
        .unwrap()
        .with_baseline(postgres(&server.url()).with_deadline(Duration::from_secs(5)));
    let reload = follower.reload_handle();
    let revocations = follower.spawn();
    revocations.ready().await;
    reload.reload().await.unwrap();
    assert_eq!(refused(&revocations, "ar-1"), Some(Reason::Revoked), "read at start");

    // A loss, with Postgres away: what is known stays, and what may be missing is refused.
    server.kill();
    lose(&publisher).await;
    let is_open = || refused(&revocations, "ar-2") == Some(Reason::HistoryIncomplete);
    eventually("the loss is noticed", is_open).await;
    let error = reload.reload().await.unwrap_err();
    assert_eq!(error.setting(), "DATABASE_URL");
    assert_eq!(refused(&revocations, "ar-1"), Some(Reason::Revoked));
    assert_eq!(refused(&revocations, "ar-2"), Some(Reason::HistoryIncomplete));

    // It comes back, knowing what was lost: the reading closes the loss by itself.
    server.restart();
    server.run("INSERT INTO authority_records VALUES ('ar-3', 'z1', 'revoked')").await;
    eventually("the loss is closed", || refused(&revocations, "ar-2").is_none()).await;
    assert_eq!(refused(&revocations, "ar-3"), Some(Reason::Revoked));

    // A later one wakes it at once, long before the schedule does.
    server.run("INSERT INTO authority_records VALUES ('ar-4', 'z1', 'revoked')").await;
    assert_eq!(refused(&revocations, "ar-4"), None);
    lose(&publisher).await;
    let is_read = || refused(&revocations, "ar-4") == Some(Reason::Revoked);
    eventually("it is read for the next", is_read).await;
    eventually("the next is closed too", || refused(&revocations, "ar-2").is_none()).await;

    // A role that sees nothing closes nothing.
    server.run("DROP POLICY zone_isolation ON authority_records").await;
    lose(&publisher).await;
    eventually("the last is noticed", is_open).await;
    assert!(reload.reload().await.unwrap_err().to_string().contains("row level security"));
    assert_eq!(refused(&revocations, "ar-2"), Some(Reason::HistoryIncomplete));
    let metrics = snapshotter.snapshot().into_vec();
    let count = |name: &str| {
        metrics.iter().find(|(key, ..)| key.key().name() == name).map(|(.., value)| match value {
            DebugValue::Counter(count) => *count,
            _ => 0,
        })
    };
    assert!(count("caracal_gateway_revocation_reloads_total") >= Some(3));
    assert!(count("caracal_gateway_revocation_reload_errors_total") >= Some(2));
}

#[tokio::test]
async fn the_schedule_reads_what_nobody_asked_for() {
    let server = PostgresServer::start().await;
    let follower = Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate().unwrap()))
        .unwrap()
        .with_baseline(postgres(&server.url()))
        .with_reload_every(Duration::from_millis(50));
    let revocations = follower.spawn();
    revocations.ready().await;
    server.run("INSERT INTO authority_records VALUES ('ar-1', 'z1', 'revoked')").await;
    eventually("ar-1 is read", || refused(&revocations, "ar-1").is_some()).await;
}

#[tokio::test]
async fn without_a_baseline_or_a_follower_a_reload_is_an_error() {
    let follower =
        Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate().unwrap())).unwrap();
    let reload = follower.reload_handle();
    let _revocations = follower.spawn();
    assert!(reload.reload().await.is_err());
}
