//! The buckets that lags are counted in.

/// The upper bounds, in seconds, of the buckets of `caracal_revocation_lag_seconds`: from 100 µs to
/// a minute.
///
/// The [`metrics`] facade leaves buckets to the exporter. A service with one of its own gives
/// them to it, or its dashboards show summaries where ours expect buckets; with
/// metrics-exporter-prometheus:
///
/// ```ignore
/// PrometheusBuilder::new().set_buckets_for_metric(
///     Matcher::Full("caracal_revocation_lag_seconds".into()),
///     &caracal_revocation::LAG_BUCKETS,
/// )?
/// ```
pub const LAG_BUCKETS: [f64; 18] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];
