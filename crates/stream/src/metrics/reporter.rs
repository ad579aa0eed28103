//! Gauges that grow without a message, reported each second.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::Revocations;

use super::StreamMetrics;

const EVERY: Duration = Duration::from_secs(1);

/// Reports how old the view is, also while a read waits for a server that hangs; when it is
/// dropped, that nothing keeps the view current any more.
pub(crate) struct Reporter {
    pub(crate) metrics: Arc<StreamMetrics>,
    pub(crate) revocations: Revocations,
}

/// With the follower, whether that is stopped, dropped or panics.
impl Drop for Reporter {
    fn drop(&mut self) {
        self.metrics.ended();
        if std::thread::panicking() {
            tracing::error!(
                "the follower panicked: the view goes stale, and beyond the bound every request is \
                 denied with 503; restart the process"
            );
        }
    }
}

impl Reporter {
    /// Never ends.
    pub(crate) async fn run(self) {
        loop {
            self.metrics.state(&self.revocations, self.revocations.now());
            self.metrics.size(&self.revocations);
            tokio::time::sleep(EVERY).await;
        }
    }
}
