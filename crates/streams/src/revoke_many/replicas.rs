//! Waits until every replica of the fleet has applied the last message.

use std::collections::BTreeMap;
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

/// The replicas to wait for.
#[derive(Debug)]
pub(super) struct Expected {
    /// The replicas that wrote receipts before the first message was published, and their cursors.
    before: BTreeMap<String, StreamId>,
    /// The minimum number of replicas.
    count: usize,
}

impl Expected {
    /// Expects the replicas of these receipts, and at least `count` replicas.
    pub(super) fn new(before: &[Receipt], count: usize) -> Self {
        let cursor = |receipt: &Receipt| receipt.cursor(STREAM).unwrap_or(StreamId::ZERO);
        let before: BTreeMap<_, _> =
            before.iter().map(|receipt| (receipt.replica.clone(), cursor(receipt))).collect();
        let count = count.max(before.len());
        Self { before, count }
    }
}

/// The replicas of the fleet, and the last message.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Report {
    /// `true` if the expected number of replicas has applied the last message, and every other
    /// replica too.
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
    state: State,
    /// The time from adding the last message until this replica applied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
}

/// The state of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Applied,
    /// It has not read the last message. A replica that has just started may not have read the
    /// earlier ones either, and denies every request.
    Behind,
    /// It read the last message, and did not apply it. Another stream key has this effect.
    Rejected,
    /// Its receipt expired: it wrote none for 15 seconds.
    Gone,
}

/// Waits until the report is complete, or until the deadline.
pub(super) async fn wait(
    inspector: &mut Inspector,
    last: StreamId,
    expected: &Expected,
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

impl State {
    /// Returns the state that a receipt shows. `before` is the cursor of the replica before the first
    /// message was published. A replica that started later reads the messages as history, so its
    /// receipt has no lag of them.
    fn of(receipt: &Receipt, last: StreamId, before: Option<StreamId>) -> Self {
        let is_new_to_it = before.is_some_and(|cursor| cursor < last);
        match receipt.has_applied(STREAM, last) {
            false => Self::Behind,
            true if is_new_to_it && receipt.has_skipped(STREAM, last) => Self::Rejected,
            true if before.is_none() && !receipt.ready => Self::Behind,
            true => Self::Applied,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Behind => "behind",
            Self::Rejected => "read and not applied (another STREAMS_HMAC_KEY, or a gap?)",
            Self::Gone => "without a receipt for 15 s",
        }
    }
}

impl Report {
    fn of(receipts: &[Receipt], last: StreamId, expected: &Expected) -> Self {
        let present = receipts.iter().map(|receipt| {
            let before = expected.before.get(&receipt.replica).copied();
            let state = State::of(receipt, last, before);
            let lag = receipt.lag(STREAM, last).map(|lag| lag.as_secs_f64());
            Replica::new(&receipt.replica, state, lag)
        });
        let is_gone = |name: &&String| !receipts.iter().any(|it| it.replica == **name);
        let gone = expected.before.keys().filter(is_gone);
        let gone = gone.map(|name| Replica::new(name, State::Gone, None));
        let replicas: Vec<_> = present.chain(gone).collect();
        let lags: Option<Vec<f64>> = replicas.iter().map(|replica| replica.lag_seconds).collect();
        Self {
            complete: replicas.len() >= expected.count && replicas.iter().all(|it| it.applied),
            expected: expected.count,
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
        let applied = self.replicas.iter().filter(|it| it.applied).count();
        write!(f, "only {} of {} applied", applied, self.expected.max(count))?;
        f.write_str(" the last message in time")?;
        if count < self.expected {
            write!(f, "; {} wrote a receipt", number(count, "replica"))?;
        }
        for state in [State::Behind, State::Rejected, State::Gone] {
            let those = self.replicas.iter().filter(|it| it.state == state);
            for (index, replica) in those.enumerate() {
                match index {
                    0 => write!(f, "; {}: ", state.text())?,
                    _ => f.write_str(", ")?,
                }
                f.write_str(&plain(&replica.replica))?;
            }
        }
        Ok(())
    }
}

impl Replica {
    fn new(replica: &str, state: State, lag_seconds: Option<f64>) -> Self {
        let applied = state == State::Applied;
        Self { replica: replica.to_owned(), applied, state, lag_seconds }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LAST: StreamId = StreamId::new(7, 0);

    /// A receipt with this cursor, and the messages that were applied.
    fn receipt(name: &str, cursor: u64, applied: &[u64]) -> Receipt {
        let lags = applied.iter().map(|id| (STREAM.name(), format!("{id}-0"), 1_000));
        serde_json::from_value(json!({
            "replica": name, "ready": true, "staleness_seconds": 0.1,
            "cursors": {STREAM.name(): format!("{cursor}-0")},
            "applied": lags.collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    fn report(before: &[Receipt], now: &[Receipt]) -> Report {
        Report::of(now, LAST, &Expected::new(before, 0))
    }

    #[test]
    fn complete_if_every_replica_applied_the_last_message() {
        let before = [receipt("a", 6, &[]), receipt("b", 6, &[])];
        let done = report(&before, &[receipt("a", 7, &[7]), receipt("b", 8, &[7, 8])]);
        assert!(done.complete, "{done}");
        assert_eq!(
            done.to_string(),
            "all 2 replicas applied the last message, the slowest after 1 ms"
        );
        let behind = report(&before, &[receipt("a", 7, &[7]), receipt("b", 6, &[6])]);
        assert!(!behind.complete && behind.to_string().ends_with("; behind: b"), "{behind}");
    }

    #[test]
    fn new_replica_does_not_stand_in_for_one_that_is_gone() {
        let before = [receipt("a", 6, &[]), receipt("b", 6, &[])];
        let now = [receipt("a", 7, &[7]), receipt("c", 7, &[7])];
        let report = report(&before, &now);
        assert!(!report.complete, "{report}");
        let text = "only 2 of 3 applied the last message in time; without a receipt for 15 s: b";
        assert_eq!(report.to_string(), text);
    }

    #[test]
    fn replica_that_rejects_the_messages_has_not_applied_them() {
        let before = [receipt("a", 6, &[6])];
        let report = report(&before, &[receipt("a", 7, &[6])]);
        assert!(
            !report.complete && report.to_string().contains("another STREAMS_HMAC_KEY"),
            "{report}"
        );
    }

    #[test]
    fn replica_that_started_later_counts_once_it_is_ready() {
        let mut late = receipt("late", 7, &[]);
        assert!(report(&[], &[late.clone()]).complete);
        late.ready = false;
        assert!(!report(&[], &[late]).complete);
    }

    #[test]
    fn replica_that_had_read_the_last_message_before_has_applied_it() {
        // An earlier run published everything, and the replica was restarted since.
        let restarted = [receipt("a", 7, &[])];
        assert!(report(&restarted, &restarted).complete);
    }

    #[test]
    fn fewer_replicas_than_expected_are_not_complete() {
        let report = Report::of(&[receipt("a", 7, &[7])], LAST, &Expected::new(&[], 2));
        assert!(!report.complete, "{report}");
        assert!(report.to_string().contains("only 1 of 2 applied"), "{report}");
        assert!(report.to_string().contains("1 replica wrote a receipt"), "{report}");
    }
}
