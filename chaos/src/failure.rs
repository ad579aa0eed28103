//! A failure of the harness itself, as opposed to a promise that was broken.

/// Any error that keeps a schedule from being run or checked.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
