//! A follower with Postgres as its baseline.

use std::time::Duration;

use caracal_revocation_event::{Key, KeyRing, MessageBuilder};
use caracal_revocation_state::{Checks, Claims, DenyReason, Revocations, Verdict};
use caracal_revocation_stream::{Follower, InProcess, Publisher};
use caracal_test_support::waiting::eventually;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::reading::postgres;
use crate::server::PostgresServer;

const ISSUED_LONG_AGO: i64 = 1_000_000_000;

fn denial(revocations: &Revocations, sid: &str) -> Option<DenyReason> {
    let mut claims = Claims::new(sid, ISSUED_LONG_AGO, ISSUED_LONG_AGO + 900);
    claims.token_use = Some("resource".into());
    let mut checks = Checks::default();
    // Such a token has expired. Skip that check: the test is about the horizon and the baseline.
    checks.lifetime = false;
    match revocations.decide(&claims, &checks, revocations.now()) {
        Verdict::Denied(denial) => Some(denial.reason()),
        Verdict::Admitted(_) => None,
        Verdict::Unknown(why) => panic!("{why:?}"),
    }
}

/// Publishes a signed message that was re-cut after signing: its original fields are lost.
async fn lose(publisher: &Publisher) {
    let recut =
        MessageBuilder::revoke("z1", "operator").session("ar-9").with("edge_id", "un\nclean");
    publisher.publish(recut).await.unwrap();
}

#[tokio::test]
async fn only_a_complete_read_after_a_gap_closes_it() {
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
    assert_eq!(denial(&revocations, "ar-1"), Some(DenyReason::Revoked), "read at start");

    // A gap while Postgres is down: known revocations stay, and older tokens are denied.
    server.kill();
    lose(&publisher).await;
    let is_open = || denial(&revocations, "ar-2") == Some(DenyReason::HistoryIncomplete);
    eventually("the gap is detected", is_open).await;
    let error = reload.reload().await.unwrap_err();
    assert_eq!(error.setting(), "DATABASE_URL");
    assert_eq!(denial(&revocations, "ar-1"), Some(DenyReason::Revoked));
    assert_eq!(denial(&revocations, "ar-2"), Some(DenyReason::HistoryIncomplete));

    // Postgres returns with the lost revocation: the next read closes the gap.
    server.restart();
    server.run("INSERT INTO authority_records VALUES ('ar-3', 'z1', 'revoked')").await;
    eventually("the gap is closed", || denial(&revocations, "ar-2").is_none()).await;
    assert_eq!(denial(&revocations, "ar-3"), Some(DenyReason::Revoked));

    // A later gap triggers a read at once, long before the schedule.
    server.run("INSERT INTO authority_records VALUES ('ar-4', 'z1', 'revoked')").await;
    assert_eq!(denial(&revocations, "ar-4"), None);
    lose(&publisher).await;
    let is_read = || denial(&revocations, "ar-4") == Some(DenyReason::Revoked);
    eventually("Postgres is read for the second gap", is_read).await;
    eventually("the second gap is closed", || denial(&revocations, "ar-2").is_none()).await;

    // A role that sees no rows closes no gap.
    server.run("DROP POLICY zone_isolation ON authority_records").await;
    lose(&publisher).await;
    eventually("the last gap is detected", is_open).await;
    assert!(reload.reload().await.unwrap_err().to_string().contains("row level security"));
    assert_eq!(denial(&revocations, "ar-2"), Some(DenyReason::HistoryIncomplete));
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
async fn reads_on_schedule() {
    let server = PostgresServer::start().await;
    let follower = Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate().unwrap()))
        .unwrap()
        .with_baseline(postgres(&server.url()))
        .with_reload_every(Duration::from_millis(50));
    let revocations = follower.spawn();
    revocations.ready().await;
    server.run("INSERT INTO authority_records VALUES ('ar-1', 'z1', 'revoked')").await;
    eventually("ar-1 is read", || denial(&revocations, "ar-1").is_some()).await;
}

#[tokio::test]
async fn reload_fails_without_baseline_or_follower() {
    let follower =
        Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate().unwrap())).unwrap();
    let reload = follower.reload_handle();
    let _revocations = follower.spawn();
    assert!(reload.reload().await.is_err());
}
