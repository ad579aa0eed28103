//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// The time after which waiting fails; the slowest machine needs less.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the condition holds. Reads the real clock, also where tokio's clock is paused.
///
/// # Panics
///
/// Panics if the condition does not hold within [`LIMIT`].
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
