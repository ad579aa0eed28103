//! Counts and logs failures of the service.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use caracal_revocation::gateway::BoxError;
use metrics::Counter;
use tokio::time::Instant;

use super::error::ProxyError;

/// The shortest time between two log events: while a service is down, every request fails.
const LOG_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Failures {
    counters: Vec<(&'static str, Counter)>,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    last: Option<Instant>,
    skipped: u64,
}

impl Failures {
    /// Registers the counters. Install a metrics recorder first.
    pub(super) fn register() -> Self {
        let kinds = [
            ProxyError::Unreachable,
            ProxyError::ConnectTimeout,
            ProxyError::Broken,
            ProxyError::Timeout,
        ];
        let counter = |kind: &'static str| {
            (kind, metrics::counter!("caracal_guard_upstream_failures_total", "kind" => kind))
        };
        let counters = kinds.into_iter().filter_map(ProxyError::failure).map(counter).collect();
        metrics::describe_counter!(
            "caracal_guard_upstream_failures_total",
            "Requests that the reverse proxy answered 502 or 504, by kind."
        );
        Self { counters, log: Mutex::default() }
    }

    /// Records an error that is a failure of the service.
    pub(super) fn record(&self, error: ProxyError, cause: Option<&BoxError>) {
        let Some(kind) = error.failure() else { return };
        for (_, counter) in self.counters.iter().filter(|(label, _)| *label == kind) {
            counter.increment(1);
        }
        let skipped = {
            // Nothing panics under this lock.
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if log.last.is_some_and(|last| now < last + LOG_PAUSE) {
                log.skipped += 1;
                return;
            }
            log.last = Some(now);
            std::mem::take(&mut log.skipped)
        };
        let cause = cause.map(|cause| chain(&**cause)).unwrap_or_default();
        tracing::warn!(
            kind,
            cause,
            skipped,
            "a request to the service failed and is answered 502 or 504; check the service"
        );
    }
}

/// Returns an error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}
