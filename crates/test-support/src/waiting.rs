//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// The deadline, longer than the slowest machine needs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the condition holds. Uses the real clock, even if tokio's clock is paused.
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
