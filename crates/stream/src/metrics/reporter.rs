//! Gauges that grow by themselves, told again and again.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::Revocations;

use super::StreamMetrics;

const EVERY: Duration = Duration::from_secs(1);

/// Tells how old the view is, also while a read waits for a server that hangs.
pub(crate) struct Reporter {
    pub(crate) metrics: Arc<StreamMetrics>,
    pub(crate) revocations: Revocations,
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
