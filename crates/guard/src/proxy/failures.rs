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
    failed: Vec<(&'static str, Counter)>,
    refused: Vec<(&'static str, Counter)>,
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
        let failed =
            |kind| metrics::counter!("caracal_guard_upstream_failures_total", "kind" => kind);
        let refused =
            |kind| metrics::counter!("caracal_guard_refused_requests_total", "kind" => kind);
        metrics::describe_counter!(
            "caracal_guard_upstream_failures_total",
            "Requests that the reverse proxy answered 502 or 504, by kind."
        );
        metrics::describe_counter!(
            "caracal_guard_refused_requests_total",
            "Requests that the reverse proxy refused before it forwarded them, by kind."
        );
        let kinds =
            |of: fn(ProxyError) -> Option<&'static str>| ProxyError::ALL.into_iter().filter_map(of);
        Self {
            failed: kinds(ProxyError::failure).map(|kind| (kind, failed(kind))).collect(),
            refused: kinds(ProxyError::refusal).map(|kind| (kind, refused(kind))).collect(),
            log: Mutex::default(),
        }
    }

    /// Counts an error, and logs it if the service failed.
    pub(super) fn record(&self, error: ProxyError, cause: Option<&BoxError>) {
        let Some(kind) = error.failure() else {
            // A client that sends malformed requests is no event worth a log line.
            return error.refusal().into_iter().for_each(|kind| count(&self.refused, kind));
        };
        count(&self.failed, kind);
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

fn count(counters: &[(&'static str, Counter)], kind: &str) {
    counters
        .iter()
        .filter(|(label, _)| *label == kind)
        .for_each(|(_, counter)| counter.increment(1));
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
