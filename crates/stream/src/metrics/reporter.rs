//! What grows without a message, reported each second: gauges, and an old view.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::Revocations;

use super::StreamMetrics;
use crate::view_age::ViewAge;

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
        let mut age = ViewAge::new(self.revocations.now());
        loop {
            let now = self.revocations.now();
            self.metrics.state(&self.revocations, now);
            self.metrics.size(&self.revocations);
            let old_after = age.log(&self.revocations, now);
            tokio::time::sleep(old_after.unwrap_or(EVERY).min(EVERY)).await;
        }
    }
}
