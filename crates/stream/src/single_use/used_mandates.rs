//! The handle of the record: puts each use into the queue of the writer, and waits for the answer.

use std::fmt;
use std::time::Duration;

use caracal_revocation_state::{UseFuture, UseOutcome, UseRecord, UseRecordError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::writer::{PREFIX, Waiting, write_uses};
use crate::limits::USE_DEADLINE;
use crate::log_error::LogError;
use crate::metrics::UseCounters;
use crate::settings::Settings;
use crate::topology::Topology;

/// The largest number of uses that wait. More requests could not be answered in time.
const MOST_WAITING: usize = 4096;

/// Records used mandates in Redis, for all gateways of a fleet: `SET seen:jti:<jti> <request id> NX`
/// with a time to live. Clones share one connection.
///
/// The record is on the server that accepts writes: the primary that sentinels name, the master of
/// the key's slot in a cluster, or `REDIS_PRIMARY_URL`. Its user needs the rights of
/// [`acl::SINGLE_USE`](crate::acl::SINGLE_USE). An answer takes at most 400 ms; a later one is an
/// error, and the mandate may then count as used. Everything that Redis loses can be replayed: in a
/// restart without `appendfsync always`, a failover, or `FLUSHALL`.
///
/// ```no_run
/// use caracal_revocation_stream::{Settings, UsedMandates};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let used = UsedMandates::new(&Settings::from_env()?);
/// // let gateway = GatewayLayer::new(revocations).with_verifier(verifier).with_single_use(used);
/// # drop(used);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct UsedMandates {
    queue: mpsc::Sender<Waiting>,
    counters: UseCounters,
}

impl UsedMandates {
    /// Starts to connect, as a task of the current tokio runtime that ends with the last clone.
    /// Install a metrics recorder first.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        // A replica accepts no writes.
        let topology = match &settings.primary {
            Some(primary) => Topology::One(Box::new(primary.clone())),
            None => settings.topology.clone(),
        };
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        tokio::spawn(write_uses(topology, waiting));
        Self { queue, counters: UseCounters::register() }
    }

    async fn ask(
        &self,
        id: &str,
        request_id: &str,
        time_to_live: Duration,
    ) -> Result<UseOutcome, LogError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            key: format!("{PREFIX}{id}"),
            request_id: request_id.to_owned(),
            time_to_live,
            answer,
            may_be_own: false,
        };
        let queued = self.queue.try_send(waiting);
        queued.map_err(|_| LogError::Reply("too many requests wait for it"))?;
        let ended = |_| Err(LogError::Reply("the task that records uses has ended"));
        match timeout(USE_DEADLINE, answered).await {
            Ok(answer) => answer.unwrap_or_else(ended),
            Err(_) => Err(LogError::Deadline(USE_DEADLINE)),
        }
    }
}

impl UseRecord for UsedMandates {
    fn record<'a>(
        &'a self,
        id: &'a str,
        request_id: &'a str,
        time_to_live: Duration,
    ) -> UseFuture<'a> {
        Box::pin(async move {
            let outcome = self.ask(id, request_id, time_to_live).await;
            self.counters.count(outcome.as_ref().ok().copied());
            outcome.map_err(UseRecordError::new)
        })
    }
}

impl fmt::Debug for UsedMandates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsedMandates").finish_non_exhaustive()
    }
}
