//! The metrics of repeated drills.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, describe_counter, describe_gauge};
use metrics::{describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::report::Report;
use super::stage::{NoAnswer, Stage};
use crate::outcome::Failure;

/// The upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

const RUNS: &str = "caracal_drill_runs_total";
const FAILURES: &str = "caracal_drill_failures_total";
const LAST_SUCCESS: &str = "caracal_drill_last_success_timestamp_seconds";
const INTERVAL: &str = "caracal_drill_interval_seconds";
const REPLICAS: &str = "caracal_drill_replicas";
const DELAY: &str = "caracal_drill_delay_seconds";

/// The metrics, and the exporter that renders them.
pub(super) struct Metrics {
    exporter: PrometheusHandle,
    runs: Counter,
    failures: [Counter; Stage::ALL.len()],
    last_success: Gauge,
    replicas: Gauge,
    published: Histogram,
    applied: Histogram,
}

impl Metrics {
    /// Creates the metrics of drills that are `every` apart.
    pub(super) fn new(every: Duration) -> Result<Self, Failure> {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS);
        let builder = builder.map_err(|error| Failure::new(format!("metrics: {error}")))?;
        let recorder = builder.build_recorder();
        let exporter = recorder.handle();
        Ok(metrics::with_local_recorder(&recorder, || {
            describe();
            gauge!(INTERVAL).set(every.as_secs_f64());
            // Every value exists from the start, so that its first growth is seen.
            let last_success = gauge!(LAST_SUCCESS);
            last_success.set(0.0);
            let replicas = gauge!(REPLICAS);
            replicas.set(0.0);
            Self {
                exporter,
                runs: counter!(RUNS),
                failures: Stage::ALL.map(|stage| counter!(FAILURES, "stage" => stage.label())),
                last_success,
                replicas,
                published: histogram!(DELAY, "stage" => Stage::Published.label()),
                applied: histogram!(DELAY, "stage" => Stage::Applied.label()),
            }
        }))
    }

    /// Records a drill that ended at `now`, the time since the Unix epoch.
    pub(super) fn record(&self, result: &Result<Report, NoAnswer>, now: Duration) {
        self.runs.increment(1);
        match result {
            Ok(report) => {
                self.published.record(report.published_seconds);
                let applied = report.replicas.iter().filter_map(|line| line.applied_seconds);
                let mut count = 0_u32;
                for seconds in applied {
                    self.applied.record(seconds);
                    count += 1;
                }
                self.replicas.set(f64::from(count));
                report.failed.iter().for_each(|stage| self.count(*stage));
                if report.within {
                    self.last_success.set(now.as_secs_f64());
                }
            }
            Err(no_answer) => {
                self.replicas.set(0.0);
                self.count(no_answer.stage);
            }
        }
        self.exporter.run_upkeep();
    }

    fn count(&self, stage: Stage) {
        let place = Stage::ALL.iter().position(|each| *each == stage);
        if let Some(counter) = place.and_then(|place| self.failures.get(place)) {
            counter.increment(1);
        }
    }

    pub(super) fn exporter(&self) -> PrometheusHandle {
        self.exporter.clone()
    }
}

fn describe() {
    describe_counter!(RUNS, "drills that ended");
    describe_counter!(FAILURES, "stages of drills that failed");
    describe_gauge!(LAST_SUCCESS, "the time of the last drill without a failure; 0 before it");
    describe_gauge!(INTERVAL, "the time between two drills");
    describe_gauge!(REPLICAS, "replicas that applied the message of the last drill");
    describe_histogram!(DELAY, "time from sending the message until a stage was reached");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_exists_before_the_first_drill() {
        let metrics = Metrics::new(Duration::from_secs(60)).unwrap();
        let text = metrics.exporter().render();
        for sample in [
            "caracal_drill_runs_total 0",
            "caracal_drill_last_success_timestamp_seconds 0",
            "caracal_drill_interval_seconds 60",
            "caracal_drill_failures_total{stage=\"applied\"} 0",
        ] {
            assert!(text.contains(sample), "{sample}: {text}");
        }
    }

    #[test]
    fn drill_without_answer_counts_its_stage_and_no_success() {
        let metrics = Metrics::new(Duration::from_secs(60)).unwrap();
        let no_answer = Stage::Connect.failed()(Failure::new("away"));
        metrics.record(&Err(no_answer), Duration::from_secs(7));
        let text = metrics.exporter().render();
        for sample in [
            "caracal_drill_runs_total 1",
            "caracal_drill_last_success_timestamp_seconds 0",
            "caracal_drill_failures_total{stage=\"connect\"} 1",
        ] {
            assert!(text.contains(sample), "{sample}: {text}");
        }
    }
}
