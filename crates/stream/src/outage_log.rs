//! Logs an outage of Redis once at its start, and once at its end.

use caracal_revocation_state::{OutageCause, RevocationsWriter};

use crate::advice;
use crate::log_error::LogError;
use caracal_revocation_state::internal::{CALM, Episode};

/// Logs outages. Repeated short outages are logged as one.
#[derive(Debug)]
pub(crate) struct OutageLog(Episode<OutageCause>);

impl Default for OutageLog {
    fn default() -> Self {
        Self(Episode::default().over_after(CALM))
    }
}

impl OutageLog {
    /// Records that the streams could not be read.
    pub(crate) fn failed(&mut self, error: &LogError, writer: &RevocationsWriter) {
        if let Some(cause) = self.begin(error, writer) {
            tracing::error!(
                %error, cause = cause.label(), rights = error.missing_rights(),
                "the streams cannot be read: the view goes stale while the follower retries; {}",
                advice::of(error)
            );
        }
    }

    /// Records that the streams were read from a server that is not proven to have every entry.
    pub(crate) fn unproven(&mut self, error: &LogError, writer: &RevocationsWriter) {
        if let Some(cause) = self.begin(error, writer) {
            tracing::error!(
                %error, cause = cause.label(), rights = error.missing_rights(),
                "the streams are read but cannot be proven fresh: the view goes stale; {}",
                advice::of(error)
            );
        }
    }

    /// Reports the outage to the state. Returns its cause if that was not logged yet.
    fn begin(&mut self, error: &LogError, writer: &RevocationsWriter) -> Option<OutageCause> {
        let cause = error.outage();
        writer.set_outage(Some(cause));
        self.0.goes_on(cause, writer.now().monotonic).then_some(cause)
    }

    /// Records that the streams were read, and are not known to be incomplete.
    pub(crate) fn end(&mut self, writer: &RevocationsWriter) {
        writer.set_outage(None);
        if self.0.is_over(writer.now().monotonic) {
            tracing::info!("the streams are being read again");
        }
    }
}
