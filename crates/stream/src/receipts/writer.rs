//! Writes a replica's receipts, on its own connection.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::Revocations;
use redis::Pipeline;
use tokio::time::{Instant, sleep, timeout};

use super::progress::Progress;
use super::receipt::PREFIX;
use crate::acl;
use crate::log_error::LogError;
use crate::topology::{Links, Topology};
use caracal_revocation_state::internal::{CALM, Episode};

/// The interval between receipts without a change. A change is written at once, but at least
/// `PAUSE` after the last receipt.
const EVERY: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// The time after which a replica without a new receipt is no longer part of the fleet.
const EXPIRY: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Writer {
    pub(crate) topology: Topology,
    pub(crate) replica: Box<str>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) revocations: Revocations,
}

impl Writer {
    /// Writes receipts. Never ends.
    pub(crate) async fn run(self) {
        let mut links = Links::new(self.topology.clone());
        let began = Instant::now();
        let mut failures = Episode::default().over_after(CALM);
        loop {
            match self.write(&mut links).await {
                Ok(()) => {
                    if failures.is_over(began.elapsed()) {
                        tracing::info!("receipts are being written again");
                    }
                    sleep(PAUSE).await;
                    // A time-out is fine: the receipt is then written without a change.
                    let _ = timeout(EVERY, self.progress.changed()).await;
                }
                Err(error) => {
                    if failures.goes_on((), began.elapsed()) {
                        let rights = error.is_forbidden().then_some(acl::RECEIPTS);
                        tracing::warn!(
                            %error, rights,
                            "receipts are not written: caracal-streams fleet does not see this \
                             replica; trying again"
                        );
                    }
                    links.close();
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn write(&self, links: &mut Links) -> Result<(), LogError> {
        let readiness = self.revocations.readiness(self.revocations.now());
        let mut receipt = self.progress.receipt(&self.replica);
        receipt.ready = readiness.is_ready();
        receipt.staleness_seconds = readiness.staleness.map(|age| age.as_secs_f64());
        // Text and numbers always serialize.
        let text = serde_json::to_string(&receipt).unwrap_or_default();
        let mut commands = Pipeline::new();
        let key = format!("{PREFIX}{}", self.replica);
        let set = commands.cmd("SET").arg(&key).arg(text);
        set.arg("EX").arg(EXPIRY.as_secs());
        links.run(&key, &commands).await.map(|_| ())
    }
}
