//! Tracks the replicas of a fleet from one reading of their receipts to the next. No I/O; time is
//! passed in.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::Receipt;
use serde::{Serialize, Serializer};

use super::lags::Lags;

/// The time after which a replica counts as behind. A receipt follows its message by up to 100 ms.
const BEHIND_AFTER: Duration = Duration::from_secs(1);
/// The time after which a replica counts as silent: it writes a receipt every 5 s.
const SILENT_AFTER: Duration = Duration::from_secs(7);
/// The number of latest ids that are kept of each stream.
const TAILS: usize = 1_000;

/// The replicas that were seen, and the growth of the streams.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    replicas: BTreeMap<String, Tracked>,
    /// The ends of each stream: when each was first seen, oldest first.
    tails: [VecDeque<(Duration, StreamId)>; Stream::ALL.len()],
}

#[derive(Debug)]
struct Tracked {
    receipt: Receipt,
    /// The time when its receipt last changed.
    written: Duration,
    is_gone: bool,
}

/// The state of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Its receipt expired: it is stopped, or cannot reach Redis.
    Gone,
    /// It writes no receipts any more, and its last one has not expired yet.
    Silent,
    /// It answers requests with 503.
    NotReady,
    /// It lacks messages that are in the streams.
    Behind,
    /// It is ready and has read everything.
    Ready,
}

impl Status {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Gone => "GONE",
            Self::Silent => "SILENT",
            Self::NotReady => "NOT READY",
            Self::Behind => "BEHIND",
            Self::Ready => "ready",
        }
    }
}

/// One replica in the view.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) replica: String,
    pub(super) status: Status,
    /// The time since its last completeness proof. Absent before the first.
    #[serde(rename = "staleness_seconds", serialize_with = "seconds")]
    pub(super) staleness: Option<Duration>,
    /// The time since its last receipt.
    #[serde(rename = "receipt_seconds", serialize_with = "some_seconds")]
    pub(super) receipt: Duration,
    /// The time for which it has lacked a message.
    #[serde(rename = "behind_seconds", serialize_with = "seconds")]
    pub(super) behind: Option<Duration>,
    pub(super) lags: Option<Lags>,
}

/// The fleet at one time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    /// The minimum number of replicas.
    pub(super) expected: usize,
    /// The replicas, the worst first.
    pub(super) replicas: Vec<Row>,
    /// The lags of all replicas that are not gone.
    pub(super) lags: Option<Lags>,
}

impl Tracker {
    /// Takes a reading of the receipts, and the ends of the streams where they are known.
    pub(super) fn take(
        &mut self,
        receipts: Vec<Receipt>,
        ends: [Option<StreamId>; Stream::ALL.len()],
        now: Duration,
    ) {
        for ((stream, end), tails) in Stream::ALL.into_iter().zip(ends).zip(&mut self.tails) {
            let cursors = receipts.iter().filter_map(|receipt| receipt.cursor(stream));
            let Some(tail) = cursors.chain(end).max() else { continue };
            match tails.back() {
                Some((_, last)) if *last == tail => {}
                // The stream was created again.
                Some((_, last)) if *last > tail => *tails = [(now, tail)].into(),
                _ => tails.push_back((now, tail)),
            }
            if tails.len() > TAILS {
                tails.pop_front();
            }
        }
        for tracked in self.replicas.values_mut() {
            tracked.is_gone = true;
        }
        for receipt in receipts {
            match self.replicas.get_mut(&receipt.replica) {
                Some(tracked) => {
                    tracked.is_gone = false;
                    if tracked.receipt != receipt {
                        *tracked = Tracked { receipt, written: now, is_gone: false };
                    }
                }
                None => {
                    let name = receipt.replica.clone();
                    let tracked = Tracked { receipt, written: now, is_gone: false };
                    self.replicas.insert(name, tracked);
                }
            }
        }
    }

    /// Returns the fleet at `now`.
    pub(super) fn view(&self, expected: usize, now: Duration) -> View {
        let mut replicas: Vec<_> =
            self.replicas.values().map(|tracked| self.row(tracked, now)).collect();
        replicas.sort_by(|one, other| {
            let longest_behind_first = other.behind.cmp(&one.behind);
            let by_status = one.status.cmp(&other.status).then(longest_behind_first);
            by_status.then_with(|| one.replica.cmp(&other.replica))
        });
        let present = self.replicas.values().filter(|tracked| !tracked.is_gone);
        let lags = Lags::of(present.flat_map(|tracked| tracked.receipt.lags()));
        View { expected, replicas, lags }
    }

    fn row(&self, tracked: &Tracked, now: Duration) -> Row {
        let receipt = &tracked.receipt;
        let since_receipt = now.saturating_sub(tracked.written);
        let staleness = receipt
            .staleness_seconds
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
            .map(|staleness| staleness.saturating_add(since_receipt));
        let behind = self.behind(receipt, now).filter(|behind| *behind >= BEHIND_AFTER);
        let status = match behind {
            _ if tracked.is_gone => Status::Gone,
            _ if since_receipt >= SILENT_AFTER => Status::Silent,
            _ if !receipt.ready => Status::NotReady,
            Some(_) => Status::Behind,
            None => Status::Ready,
        };
        Row {
            replica: receipt.replica.clone(),
            status,
            staleness,
            receipt: since_receipt,
            behind,
            lags: Lags::of(receipt.lags()),
        }
    }

    /// Returns the time for which the replica has lacked a message of any stream.
    fn behind(&self, receipt: &Receipt, now: Duration) -> Option<Duration> {
        let streams = Stream::ALL.into_iter().zip(&self.tails);
        let since = streams.filter_map(|(stream, tails)| {
            let cursor = receipt.cursor(stream)?;
            let missing = tails.iter().find(|(_, tail)| *tail > cursor)?;
            Some(now.saturating_sub(missing.0))
        });
        since.max()
    }
}

impl View {
    /// Returns `true` if the expected number of replicas is ready, and no replica is not.
    pub(super) fn is_good(&self) -> bool {
        self.ready() >= self.expected.max(1) && self.ready() == self.replicas.len()
    }

    /// Returns the number of replicas that are ready and have read everything.
    pub(super) fn ready(&self) -> usize {
        self.replicas.iter().filter(|row| row.status == Status::Ready).count()
    }

    /// Returns the number of replicas, or the expected number if that is larger.
    pub(super) fn all(&self) -> usize {
        self.replicas.len().max(self.expected)
    }
}

fn some_seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

fn seconds<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => serializer.serialize_some(&span.as_secs_f64()),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STREAM: Stream = Stream::SessionsRevoke;
    const NO_ENDS: [Option<StreamId>; Stream::ALL.len()] = [None; Stream::ALL.len()];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A receipt with this cursor. `written` tells one receipt from the next.
    fn receipt(name: &str, cursor: u64, written: f64) -> Receipt {
        serde_json::from_value(json!({
            "replica": name, "ready": true, "staleness_seconds": written,
            "cursors": {STREAM.name(): format!("{cursor}-0")},
            "applied": [[STREAM.name(), format!("{cursor}-0"), 2_000]],
        }))
        .unwrap()
    }

    fn statuses(tracker: &Tracker, now: Duration) -> Vec<(String, Status)> {
        let view = tracker.view(0, now);
        view.replicas.into_iter().map(|row| (row.replica, row.status)).collect()
    }

    #[test]
    fn replica_that_lacks_a_message_is_behind_after_a_second() {
        let mut tracker = Tracker::default();
        let both = |cursor, n| vec![receipt("a", 9, n), receipt("b", cursor, n)];
        tracker.take(both(7, 0.1), NO_ENDS, at(1));
        assert_eq!(tracker.view(0, at(1)).ready(), 2, "its receipt may follow");
        tracker.take(both(7, 0.2), NO_ENDS, at(4));
        let view = tracker.view(0, at(4));
        assert_eq!((&*view.replicas[0].replica, view.replicas[0].status), ("b", Status::Behind));
        assert_eq!(view.replicas[0].behind, Some(at(3)));
        tracker.take(both(9, 0.3), NO_ENDS, at(5));
        assert_eq!(tracker.view(0, at(5)).ready(), 2);
    }

    #[test]
    fn whole_fleet_is_behind_the_end_of_its_stream() {
        let mut tracker = Tracker::default();
        let mut ends = NO_ENDS;
        ends[STREAM.index()] = Some(StreamId::new(9, 0));
        for second in [1, 3] {
            tracker.take(vec![receipt("a", 7, second as f64)], ends, at(second));
        }
        assert_eq!(statuses(&tracker, at(3)), [("a".to_owned(), Status::Behind)]);
    }

    #[test]
    fn frozen_replica_is_silent_then_gone() {
        let mut tracker = Tracker::default();
        tracker.take(vec![receipt("a", 7, 0.1)], NO_ENDS, at(1));
        tracker.take(vec![receipt("a", 7, 0.1)], NO_ENDS, at(9));
        assert_eq!(statuses(&tracker, at(9)), [("a".to_owned(), Status::Silent)]);
        let row = &tracker.view(0, at(9)).replicas[0];
        assert_eq!(row.staleness, Some(Duration::from_millis(8_100)));
        tracker.take(Vec::new(), NO_ENDS, at(16));
        assert_eq!(statuses(&tracker, at(16)), [("a".to_owned(), Status::Gone)]);
        assert!(!tracker.view(0, at(16)).is_good());
        tracker.take(vec![receipt("a", 7, 0.2)], NO_ENDS, at(17));
        assert!(tracker.view(1, at(17)).is_good() && !tracker.view(2, at(17)).is_good());
    }

    #[test]
    fn stream_created_again_leaves_no_replica_behind() {
        let mut tracker = Tracker::default();
        tracker.take(vec![receipt("a", 9, 0.1)], NO_ENDS, at(1));
        tracker.take(vec![receipt("a", 3, 0.2)], NO_ENDS, at(5));
        assert_eq!(statuses(&tracker, at(9)), [("a".to_owned(), Status::Ready)]);
    }

    #[test]
    fn empty_fleet_is_not_good() {
        assert!(!Tracker::default().view(0, at(1)).is_good());
    }
}
