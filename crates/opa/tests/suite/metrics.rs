//! The counters, under the names that operators already alert on, and the age gauges.

use std::collections::BTreeMap;
use std::time::Duration;

use caracal_revocation_opa::{LoadFailure, PolicyOptions, ZonePolicies};
use caracal_test_support::opa::*;
use caracal_test_support::waiting::eventually;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// Returns every series by name and labels; for a histogram, its number of samples. A snapshot
/// resets the counters.
fn nonzero_series(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let series = snapshotter.snapshot().into_vec().into_iter().map(|entry| {
        let (key, _, description, value) = entry;
        assert!(description.is_some(), "{key:?} is not described");
        let labels = key.key().labels().map(|label| format!("{{{}}}", label.value()));
        let name = key.key().name().to_owned() + &labels.collect::<String>();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        (name, value)
    });
    series.filter(|(_, value)| *value != 0.0).collect()
}

fn expected<const N: usize>(series: [(&str, f64); N]) -> BTreeMap<String, f64> {
    series.into_iter().map(|(name, value)| (format!("caracal_sts_opa_{name}"), value)).collect()
}

#[tokio::test(start_paused = true)]
async fn exports_loads_compiles_evaluations_and_both_ages() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (revocations, clock) = fresh();
    let script = Script::new();
    script.holds(bundle("v1"));
    let mut options = PolicyOptions::default();
    options.poll_interval = Duration::from_secs(1_000);
    let policies = ZonePolicies::with_options(
        revocations.clone(),
        script.clone(),
        Allowing::default(),
        options,
    );
    for _ in 0..2 {
        policies.decide(input()).await.unwrap();
    }
    clock.advance(Duration::from_secs(20));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let first = expected([
        ("compile_seconds", 1.0),
        ("compile_total", 1.0),
        ("eval_seconds", 2.0),
        ("eval_total", 2.0),
        ("load_seconds", 1.0),
        ("load_total", 1.0),
        ("max_policy_age_seconds", 20.0),
        ("policy_age_seconds{z-1}", 20.0),
        ("poll_interval_seconds", 1_000.0),
        ("zones", 1.0),
    ]);
    assert_eq!(nonzero_series(&snapshotter), first);

    // A bundle that does not compile, then a failing source: version v2 is still awaited.
    script.holds(broken("v2"));
    invalidate(&revocations, "v2");
    eventually("broken", || status(&policies).trouble == Some(LoadFailure::Broken)).await;
    script.fails();
    policies.refresh(ZONE).await.unwrap();
    clock.advance(Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let then = nonzero_series(&snapshotter);
    let of = |name: &str| then.get(&format!("caracal_sts_opa_{name}")).copied().unwrap_or(0.0);
    assert_eq!((of("compile_total"), of("compile_errors_total")), (1.0, 1.0));
    assert_eq!(of("load_errors_total{broken}"), 1.0);
    assert!(of("load_errors_total{source}") > 1.0, "the load is retried");
    assert_eq!((of("max_policy_age_seconds"), of("policy_age_seconds{z-1}")), (25.0, 25.0));
    let ages = (of("max_invalidation_age_seconds"), of("invalidation_age_seconds{z-1}"));
    assert_eq!(ages, (5.0, 5.0));

    // The policy is in force, but returns no valid decision.
    script.holds(deciding("v2", "perhaps"));
    policies.refresh(ZONE).await.unwrap();
    policies.decide(input()).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let last = nonzero_series(&snapshotter);
    let of = |name: &str| last.get(&format!("caracal_sts_opa_{name}")).copied().unwrap_or(0.0);
    assert_eq!((of("eval_total"), of("eval_errors_total")), (1.0, 1.0));
    assert_eq!((of("max_policy_age_seconds"), of("max_invalidation_age_seconds")), (0.0, 0.0));
}
