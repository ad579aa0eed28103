//! Handles to the metrics of the baseline, the dead letters and the canary.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::names;

/// Returns the counter of baseline reads that succeeded.
pub(crate) fn reloads() -> Counter {
    counter!(names::RELOADS)
}

/// Returns the counter of baseline reads that failed.
pub(crate) fn reload_errors() -> Counter {
    counter!(names::RELOAD_ERRORS)
}

/// Returns the counter of dead letters that this process wrote.
pub(crate) fn dead_letters_written() -> Counter {
    counter!(names::DEAD_LETTERS_WRITTEN)
}

/// Returns the counter of dead letters that were lost for this cause.
pub(crate) fn dead_letters_lost(cause: &'static str) -> Counter {
    counter!(names::DEAD_LETTERS_LOST, "cause" => cause)
}

/// Returns the histogram of the time from sending a canary to this stage.
pub(crate) fn canary_lag(stage: &'static str) -> Histogram {
    histogram!(names::CANARY_LAG, "stage" => stage)
}

/// Returns the gauge of the time since a canary was last seen.
pub(crate) fn canary_age() -> Gauge {
    gauge!(names::CANARY_AGE)
}

/// Returns the counter of canaries that were not seen in time.
pub(crate) fn canaries_lost() -> Counter {
    counter!(names::CANARIES_LOST)
}
