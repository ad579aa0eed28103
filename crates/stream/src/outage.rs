//! The time between losing Redis and reading from it again: told once at each end.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use caracal_revocation_state::{Outage as Cause, Revocations};

use crate::log::LogError;

const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The pauses between one attempt and the next.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Option<ExponentialBackoff>);

/// One outage after the other.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// The causes that the log was told of.
    told: Vec<Cause>,
    /// Whether it was told that the view has become old.
    told_late: bool,
}

impl Pauses {
    /// How long to wait before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let backoff = self.0.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(20))
                .with_max_delay(LONGEST_PAUSE)
                .with_jitter()
                .without_max_times()
                .build()
        });
        backoff.next().unwrap_or(LONGEST_PAUSE)
    }

    /// An attempt succeeded.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }
}

impl Outage {
    /// Takes in a failure.
    pub(crate) fn failed(&mut self, error: &LogError, revocations: &Revocations) {
        let cause = error.outage();
        revocations.set_outage(Some(cause));
        if !self.told.contains(&cause) {
            self.told.push(cause);
            tracing::error!(
                %error, cause = cause.label(),
                "the streams cannot be read; trying again until they can: {}", cause.advice()
            );
        }
        let readiness = revocations.readiness(revocations.now());
        if readiness.is_late && !std::mem::replace(&mut self.told_late, true) {
            let bound = revocations.options().deny_after.as_secs_f64();
            tracing::warn!(
                staleness = readiness.staleness.unwrap_or_default().as_secs_f64(),
                bound,
                "the view is getting old: beyond the bound every request is refused with 503"
            );
        }
    }

    /// The streams were read.
    pub(crate) fn end(&mut self, revocations: &Revocations) {
        if revocations.set_outage(None) {
            tracing::info!("the streams are being read again");
        }
        *self = Self::default();
    }
}
