//! Shows in the follower's report that the follower runs.

use std::sync::Arc;

use caracal_revocation_state::RevocationsWriter;

/// Shows in the report that the follower runs, until this is dropped.
pub(crate) struct ReportedRun(Arc<RevocationsWriter>);

impl ReportedRun {
    pub(crate) fn begin(
        writer: &Arc<RevocationsWriter>,
        has_baseline: bool,
        has_snapshot: bool,
    ) -> Self {
        let now = writer.now();
        writer.report(|report| {
            (report.began, report.has_ended) = (Some(now), false);
            if has_baseline {
                report.baseline.get_or_insert_default();
            }
            if has_snapshot {
                report.snapshot.get_or_insert_default();
            }
        });
        Self(Arc::clone(writer))
    }
}

/// Runs when the follower is stopped, is dropped or panics.
impl Drop for ReportedRun {
    fn drop(&mut self) {
        self.0.report(|report| report.has_ended = true);
    }
}
