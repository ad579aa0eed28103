//! The metrics. They are registered once, so that a request only updates them.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::{LoadFailure, ZoneStatus};

const MAX_AGE: &str = "caracal_sts_opa_max_policy_age_seconds";
const MAX_INVALIDATION: &str = "caracal_sts_opa_max_invalidation_age_seconds";
const AGE: &str = "caracal_sts_opa_policy_age_seconds";
const INVALIDATION: &str = "caracal_sts_opa_invalidation_age_seconds";
const POLL_INTERVAL: &str = "caracal_sts_opa_poll_interval_seconds";
const ZONES: &str = "caracal_sts_opa_zones";
const EVAL: &str = "caracal_sts_opa_eval_total";
const EVAL_ERRORS: &str = "caracal_sts_opa_eval_errors_total";
const EVAL_SECONDS: &str = "caracal_sts_opa_eval_seconds";
const COMPILE: &str = "caracal_sts_opa_compile_total";
const COMPILE_ERRORS: &str = "caracal_sts_opa_compile_errors_total";
const COMPILE_SECONDS: &str = "caracal_sts_opa_compile_seconds";
const LOAD: &str = "caracal_sts_opa_load_total";
const LOAD_ERRORS: &str = "caracal_sts_opa_load_errors_total";
const LOAD_SECONDS: &str = "caracal_sts_opa_load_seconds";

#[derive(Clone)]
pub(crate) struct Metrics {
    max_age: Gauge,
    max_invalidation: Gauge,
    zones: Gauge,
    eval: Counter,
    eval_errors: Counter,
    eval_seconds: Histogram,
    compile: Counter,
    compile_errors: Counter,
    compile_seconds: Histogram,
    load: Counter,
    load_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(poll_interval: Duration) -> Self {
        describe();
        gauge!(POLL_INTERVAL).set(poll_interval.as_secs_f64());
        Self {
            max_age: gauge!(MAX_AGE),
            max_invalidation: gauge!(MAX_INVALIDATION),
            zones: gauge!(ZONES),
            eval: counter!(EVAL),
            eval_errors: counter!(EVAL_ERRORS),
            eval_seconds: histogram!(EVAL_SECONDS),
            compile: counter!(COMPILE),
            compile_errors: counter!(COMPILE_ERRORS),
            compile_seconds: histogram!(COMPILE_SECONDS),
            load: counter!(LOAD),
            load_seconds: histogram!(LOAD_SECONDS),
        }
    }

    pub(crate) fn evaluated(&self, took: Duration, ok: bool) {
        self.eval.increment(1);
        self.eval_seconds.record(took.as_secs_f64());
        if !ok {
            self.eval_errors.increment(1);
        }
    }

    pub(crate) fn compiled(&self, took: Duration, ok: bool) {
        self.compile.increment(1);
        self.compile_seconds.record(took.as_secs_f64());
        if !ok {
            self.compile_errors.increment(1);
        }
    }

    pub(crate) fn loaded(&self, took: Duration) {
        self.load.increment(1);
        self.load_seconds.record(took.as_secs_f64());
    }

    pub(crate) fn load_failed(&self, failure: LoadFailure) {
        counter!(LOAD_ERRORS, "reason" => failure.label()).increment(1);
    }

    /// Sets the age gauges. Called repeatedly, because ages grow without an event.
    pub(crate) fn ages(&self, zones: &[ZoneStatus]) {
        let max = |age: fn(&ZoneStatus) -> Duration| {
            zones.iter().map(age).max().unwrap_or_default().as_secs_f64()
        };
        self.max_age.set(max(|zone| zone.confirmed_age));
        self.max_invalidation.set(max(|zone| zone.invalidation_age));
        self.zones.set(zones.len() as f64);
        for zone in zones {
            let name = zone.zone.to_string();
            gauge!(AGE, "zone" => name.clone()).set(zone.confirmed_age.as_secs_f64());
            gauge!(INVALIDATION, "zone" => name).set(zone.invalidation_age.as_secs_f64());
        }
    }

    /// Sets the age gauges of a removed zone to zero, because a recorder cannot remove a gauge.
    pub(crate) fn clear_zone(zone: &str) {
        gauge!(AGE, "zone" => zone.to_owned()).set(0.0);
        gauge!(INVALIDATION, "zone" => zone.to_owned()).set(0.0);
    }
}

fn describe() {
    let seconds = Unit::Seconds;
    describe_gauge!(MAX_AGE, seconds, "The maximum over zones of the policy age.");
    describe_gauge!(MAX_INVALIDATION, seconds, "The maximum over zones of the invalidation age.");
    describe_gauge!(AGE, seconds, "Time since the zone's policy was last confirmed current.");
    describe_gauge!(
        INVALIDATION,
        seconds,
        "Time since the oldest invalidation that is not in force was published, or 0."
    );
    describe_gauge!(POLL_INTERVAL, seconds, "Time between safety polls of a zone.");
    describe_gauge!(ZONES, "Zones in use.");
    describe_counter!(EVAL, "Policy evaluations.");
    describe_counter!(EVAL_ERRORS, "Evaluations without a complete allow or deny.");
    describe_histogram!(EVAL_SECONDS, seconds, "Duration of evaluations.");
    describe_counter!(COMPILE, "Bundles that were compiled or pushed.");
    describe_counter!(COMPILE_ERRORS, "Bundles that could not be compiled or pushed.");
    describe_histogram!(COMPILE_SECONDS, seconds, "Duration of compiling or pushing a bundle.");
    describe_counter!(LOAD, "Loads from the policy source.");
    describe_counter!(LOAD_ERRORS, "Failed attempts to load a policy, by reason.");
    describe_histogram!(LOAD_SECONDS, seconds, "Duration of loads from the policy source.");
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}
