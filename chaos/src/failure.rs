//! A failure of the harness itself, as opposed to a broken promise.

/// Any error that keeps the harness from running or checking a schedule.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
