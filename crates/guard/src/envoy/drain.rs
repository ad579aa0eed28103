//! The end of the program, for requests that run.

use std::time::Duration;

use crate::server::Shutdown;

/// The time before the end of the drain in which the streams that are left are ended.
const LAST_CALL: Duration = Duration::from_millis(250);

/// The end of the program, with the time that running requests have.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    shutdown: Shutdown,
    time: Duration,
}

impl Drain {
    /// Creates the end: the shutdown, and shortly before its drain is over.
    pub(super) fn new(shutdown: Shutdown, drain: Duration) -> Self {
        Self { shutdown, time: drain.saturating_sub(LAST_CALL) }
    }

    /// Waits for the end of that time.
    pub(super) async fn over(mut self) {
        self.shutdown.wait().await;
        tokio::time::sleep(self.time).await;
    }
}
