//! Reads the streams and the baseline again on request, while the follower goes on.

mod handle;
mod new_logs;
mod reread;
#[cfg(test)]
mod tests;

pub use handle::Reload;
pub(crate) use handle::{ReloadTask, channel};
pub(crate) use new_logs::{NewLogs, redis_logs};
