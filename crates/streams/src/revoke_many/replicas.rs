//! Waits until every replica of the fleet has applied the last message.

use std::fmt;
use std::time::Duration;

use caracal_revocation_admin::Inspector;
use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::{InspectError, Receipt};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::plan::number;
use crate::text::{plain, span};

const STREAM: Stream = Stream::SessionsRevoke;
/// The time between two reads of the receipts.
const EVERY: Duration = Duration::from_millis(50);

/// The replicas of the fleet, and the last message.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Report {
    /// `true` if the expected number of replicas has applied the last message, and no other replica
    /// is behind.
    complete: bool,
    expected: usize,
    /// The longest time from adding the last message until a replica applied it. Absent if a
    /// receipt does not have it.
    slowest_seconds: Option<f64>,
    replicas: Vec<Replica>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Replica {
    replica: String,
    applied: bool,
    /// The time from adding the last message until this replica applied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
}

/// Waits until the report is complete, or until the deadline.
pub(super) async fn wait(
    inspector: &mut Inspector,
    last: StreamId,
    expected: usize,
    timeout: Duration,
) -> Result<Report, InspectError> {
    let deadline = Instant::now() + timeout;
    loop {
        let report = Report::of(&inspector.receipts().await?, last, expected);
        if report.complete || Instant::now() >= deadline {
            return Ok(report);
        }
        sleep(EVERY).await;
    }
}

impl Report {
    fn of(receipts: &[Receipt], last: StreamId, expected: usize) -> Self {
        let replica = |receipt: &Receipt| Replica {
            replica: receipt.replica.clone(),
            applied: receipt.has_applied(STREAM, last),
            lag_seconds: receipt.lag(STREAM, last).map(|lag| lag.as_secs_f64()),
        };
        let replicas: Vec<_> = receipts.iter().map(replica).collect();
        let lags: Option<Vec<f64>> = replicas.iter().map(|replica| replica.lag_seconds).collect();
        Self {
            complete: replicas.len() >= expected && replicas.iter().all(|it| it.applied),
            expected,
            slowest_seconds: lags.and_then(|lags| lags.into_iter().max_by(f64::total_cmp)),
            replicas,
        }
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.replicas.len();
        if self.complete && count == 0 {
            return f.write_str("no replica writes receipts: the fleet was not checked");
        }
        if self.complete {
            write!(f, "all {} applied the last message", number(count, "replica"))?;
            return match self.slowest_seconds.and_then(|it| Duration::try_from_secs_f64(it).ok()) {
                Some(slowest) => write!(f, ", the slowest after {}", span(slowest)),
                None => Ok(()),
            };
        }
        let behind: Vec<_> = self.replicas.iter().filter(|it| !it.applied).collect();
        let applied = count - behind.len();
        write!(f, "only {} of {} applied", applied, self.expected.max(count))?;
        f.write_str(" the last message in time")?;
        if count < self.expected {
            write!(f, "; {} wrote a receipt", number(count, "replica"))?;
        }
        for (index, replica) in behind.iter().enumerate() {
            let before = if index == 0 { "; behind: " } else { ", " };
            write!(f, "{before}{}", plain(&replica.replica))?;
        }
        Ok(())
    }
}
