//! Metrics that a real run exports: documented, and correct.

use std::collections::BTreeSet;

use caracal_revocation::Follower;
use caracal_revocation::metrics::Exporter;
use http::StatusCode;

use crate::live::{ready, ring};
use crate::operated::{Operated, Scrape, unix_now, wait_until};

/// Reads the name and type of each metric in the table of `docs/metrics.md`. The metrics of
/// `caracal-guard` and of `caracal-streams drill` are left out: only these programs export them.
fn documented() -> BTreeSet<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.split(['`', '{']).next()?.to_owned();
        Some((name, cells.next()?.to_owned()))
    });
    let programs = ["caracal_guard_", "caracal_drill_"];
    let is_exported = |name: &str| {
        name.starts_with("caracal_") && !programs.iter().any(|program| name.starts_with(program))
    };
    rows.filter(|(name, _)| is_exported(name)).collect()
}

fn exported(scrape: &Scrape) -> BTreeSet<(String, String)> {
    scrape.types().map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_metrics_match_the_documentation() {
    let service = Operated::start().await;
    wait_until("the canary is seen", async || service.get("/ready").await.0 == StatusCode::OK)
        .await;
    assert_eq!(service.get("/health").await.0, StatusCode::OK);
    for n in 0..3 {
        service.work(n).await;
    }
    wait_until("gauges are exported", async || {
        service.scrape().await.value("caracal_gateway_revocations_active") == Some(3.0)
    })
    .await;
    let scrape = service.scrape().await;
    assert_eq!(exported(&scrape), documented());

    let value =
        |sample: &str| scrape.value(sample).unwrap_or_else(|| panic!("{sample}: {}", scrape.0));
    for stage in ["published", "applied", "total", "enforced"] {
        let name = format!(r#"caracal_revocation_lag_seconds_count{{stage="{stage}"}}"#);
        assert_eq!(value(&name), 3.0, "{stage}");
        let minute = format!(r#"caracal_revocation_lag_seconds_bucket{{stage="{stage}",le="60"}}"#);
        assert_eq!(value(&minute), 3.0, "{stage}");
    }
    assert_eq!(value(r#"caracal_gateway_denials_total{reason="revoked"}"#), 3.0);
    assert_eq!(value("caracal_gateway_denials_revoked_total"), 3.0);
    assert_eq!(value("caracal_gateway_revocation_messages_total"), 6.0);
    assert_eq!(value("caracal_gateway_revocation_invalid_signatures_total"), 3.0);
    assert_eq!(value(r#"caracal_revocation_verified_messages_total{key="current"}"#), 3.0);
    assert_eq!(value("caracal_gateway_revocation_snapshot_fresh"), 1.0);
    assert_eq!(value("caracal_revocation_replay_ratio"), 1.0);
    assert_eq!(value("caracal_revocation_replays_total"), 1.0);
    assert_eq!(value(r#"caracal_revocation_unready{reason="stale"}"#), 0.0);
    assert!(value(r#"caracal_revocation_canary_lag_seconds_count{stage="seen"}"#) >= 1.0);
    assert!(value("caracal_revocation_canary_age_seconds") >= 0.0);
    assert_eq!(value("caracal_revocation_canaries_lost_total"), 0.0);
    // One machine has one clock.
    let (offset, error) = (
        value("caracal_revocation_clock_offset_seconds"),
        value("caracal_revocation_clock_offset_error_seconds"),
    );
    assert!(offset.abs() <= error + 1e-6, "{offset} ± {error}");
    let proven = value("caracal_revocation_proven_timestamp_seconds");
    assert!((unix_now() - proven).abs() < 30.0, "{proven}");
    assert!(value("caracal_revocation_index_bytes") > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_restart_counts_nothing_twice() {
    let mut service = Operated::start().await;
    for n in 0..3 {
        service.work(n).await;
    }
    let messages = [
        "caracal_gateway_revocation_messages_total",
        "caracal_gateway_revocation_invalid_signatures_total",
        "caracal_revocation_refused_messages_total",
        "caracal_revocation_verified_messages_total",
    ];
    wait_until("all messages are read", async || service.scrape().await.sum(messages[0]) == 6.0)
        .await;
    let before = service.scrape().await;

    service.redis.kill();
    let errors = "caracal_revocation_read_errors_total";
    wait_until("the follower retries", async || service.scrape().await.sum(errors) >= 5.0).await;
    service.redis.restart();
    let replays = "caracal_revocation_replays_total";
    wait_until("the streams are read again", async || service.scrape().await.sum(replays) == 2.0)
        .await;
    let after = service.scrape().await;
    for name in messages {
        assert_eq!(after.sum(name), before.sum(name), "{name}");
    }
    assert_eq!(after.sum("caracal_revocation_reconnects_total"), 1.0);
    assert_eq!(after.sum("caracal_revocation_replay_errors_total"), 0.0);
    let doubts = r#"caracal_revocation_possible_holes_total{cause="restarted"}"#;
    assert_eq!(after.value(doubts), Some(1.0));
}

/// The ways in which a follower ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Panics,
    Dropped,
    Stopped,
}

#[tokio::test]
async fn gauges_of_ended_follower_are_not_fresh() {
    let exporter = Exporter::install().expect("no other recorder in this process");
    let redis = crate::redis_server::RedisServer::start();
    for end in [End::Panics, End::Dropped, End::Stopped] {
        let follower = Follower::new(redis.settings(&ring()));
        let revocations = follower.revocations();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(follower.run(async move {
            let _ = stopped.await;
            assert_ne!(end, End::Panics, "as a bug would");
        }));
        ready(&revocations).await;
        let value = |sample: &str| Scrape(exporter.render()).value(sample);
        let fresh = "caracal_gateway_revocation_snapshot_fresh";
        wait_until("gauges are exported", async || value(fresh) == Some(1.0)).await;

        if end == End::Dropped {
            task.abort();
        } else {
            stop.send(()).unwrap();
        }
        assert_eq!(task.await.is_ok(), end == End::Stopped);
        assert_eq!(value(fresh), Some(0.0), "{end:?}");
        let age = value("caracal_gateway_revocation_snapshot_age_seconds");
        assert_eq!(age, Some(f64::INFINITY), "{end:?}");
        assert_eq!(value(r#"caracal_revocation_unready{reason="stale"}"#), Some(1.0), "{end:?}");
        let proven = value("caracal_revocation_proven_timestamp_seconds").unwrap();
        assert!((unix_now() - proven).abs() < 30.0, "the time does not change: {proven}");
    }
    crate::ops::prometheus_reads(&exporter.render());
}
