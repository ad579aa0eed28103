//! Counts reloads of the configuration.

use metrics::{Counter, counter, describe_counter};

const RELOADS: &str = "caracal_guard_reloads_total";

/// Registers the counters, so that they begin at 0.
pub(crate) fn register() {
    describe_counter!(RELOADS, "Reloads of the configuration (SIGHUP), by result.");
    let _ = (counter(true), counter(false));
}

/// Counts a reload.
pub(crate) fn count(has_succeeded: bool) {
    counter(has_succeeded).increment(1);
}

fn counter(has_succeeded: bool) -> Counter {
    counter!(RELOADS, "result" => if has_succeeded { "ok" } else { "failed" })
}
