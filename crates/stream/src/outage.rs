//! The time between losing Redis and reading from it again: logged once at each end.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use caracal_revocation_state::{Outage as Cause, RevocationsWriter};

use crate::advice;
use crate::episode::{CALM, Episode};
use crate::log::LogError;

const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The pauses between one attempt and the next.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Option<ExponentialBackoff>);

/// One outage after the other. One that comes and goes is logged as one.
#[derive(Debug)]
pub(crate) struct Outage(Episode<Cause>);

impl Default for Outage {
    fn default() -> Self {
        Self(Episode::default().over_after(CALM))
    }
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
    /// The streams could not be read.
    pub(crate) fn failed(&mut self, error: &LogError, writer: &RevocationsWriter) {
        if let Some(cause) = self.begin(error, writer) {
            tracing::error!(
                %error, cause = cause.label(), rights = error.missing_rights(),
                "the streams cannot be read; trying again until they can: {}", advice::of(error)
            );
        }
    }

    /// The streams were read from a server that cannot be proven to have everything.
    pub(crate) fn unproven(&mut self, error: &LogError, writer: &RevocationsWriter) {
        if let Some(cause) = self.begin(error, writer) {
            tracing::error!(
                %error, cause = cause.label(), rights = error.missing_rights(),
                "the streams are read and cannot be proven fresh: the view goes stale; {}",
                advice::of(error)
            );
        }
    }

    /// Reports the outage; returns its cause if that was not logged yet.
    fn begin(&mut self, error: &LogError, writer: &RevocationsWriter) -> Option<Cause> {
        let cause = error.outage();
        writer.set_outage(Some(cause));
        self.0.goes_on(cause, writer.now().monotonic).then_some(cause)
    }

    /// The streams were read, and are not known to be incomplete.
    pub(crate) fn end(&mut self, writer: &RevocationsWriter) {
        writer.set_outage(None);
        if self.0.is_over(writer.now().monotonic) {
            tracing::info!("the streams are being read again");
        }
    }
}
