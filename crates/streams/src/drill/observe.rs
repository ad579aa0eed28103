//! Judges the receipts of a fleet: which replicas have applied the message of a drill, and when.
//! No I/O; time is passed in.

use std::collections::BTreeMap;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::Receipt;
use serde::Serialize;

/// The message of a drill.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    pub(super) stream: Stream,
    pub(super) id: StreamId,
    /// The time from sending the message until Redis confirmed it.
    pub(super) after: Duration,
}

/// The progress of one replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Progress {
    /// Its receipt shows that it has not read the message yet.
    Waiting,
    /// It applied the message this long after the message was sent.
    Applied(Duration),
    /// It read the message, and did not apply it as a new one.
    Skipped,
    /// Its receipt expired before it showed the message.
    Gone,
}

/// The state of one replica, as its last receipt shows it.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) name: String,
    pub(super) ready: bool,
    pub(super) progress: Progress,
}

/// The result of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It applied the message within the bound, and is ready.
    Applied,
    /// It applied the message later than the bound.
    Late,
    /// It applied the message, and answers requests with 503.
    NotReady,
    /// It has not read the message.
    NotApplied,
    /// It read the message, and did not apply it.
    Skipped,
    /// It wrote no receipt for 15 seconds.
    Gone,
}

impl Replica {
    pub(super) fn state(&self, within: Duration) -> State {
        match self.progress {
            Progress::Waiting => State::NotApplied,
            Progress::Skipped => State::Skipped,
            Progress::Gone => State::Gone,
            Progress::Applied(after) if after > within => State::Late,
            Progress::Applied(_) if !self.ready => State::NotReady,
            Progress::Applied(_) => State::Applied,
        }
    }
}

/// The replicas of a fleet during a drill, by name.
#[derive(Debug)]
pub(super) struct Fleet {
    message: Published,
    replicas: BTreeMap<String, Replica>,
}

impl Fleet {
    /// Begins with the receipts from before the message was sent: all of these replicas are
    /// expected.
    pub(super) fn new(before: &[Receipt], message: Published) -> Self {
        let mut fleet = Self { message, replicas: BTreeMap::new() };
        fleet.observe(before, Duration::ZERO);
        fleet
    }

    /// Takes receipts that were read `seen` after the message was sent.
    pub(super) fn observe(&mut self, receipts: &[Receipt], seen: Duration) {
        let Published { stream, id, after } = self.message;
        for replica in self.replicas.values_mut() {
            let is_present = receipts.iter().any(|receipt| receipt.replica == replica.name);
            if !is_present && !matches!(replica.progress, Progress::Applied(_)) {
                replica.progress = Progress::Gone;
            }
        }
        for receipt in receipts {
            let progress = match receipt.lag(stream, id) {
                // The clocks of Redis and the replica may differ by the error of the lag.
                Some(lag) => Progress::Applied((after + lag).min(seen)),
                None if receipt.has_skipped(stream, id) => Progress::Skipped,
                None if receipt.has_applied(stream, id) => Progress::Applied(seen),
                None => Progress::Waiting,
            };
            let name = receipt.replica.clone();
            let replica = self.replicas.entry(name.clone()).or_insert(Replica {
                name,
                ready: receipt.ready,
                progress,
            });
            replica.ready = receipt.ready;
            if !matches!(replica.progress, Progress::Applied(_)) {
                replica.progress = progress;
            }
        }
    }

    /// Returns `true` if later receipts cannot change the result.
    pub(super) fn is_settled(&self, expected: usize) -> bool {
        let is_settled = |replica: &Replica| match replica.progress {
            Progress::Applied(_) => replica.ready,
            Progress::Skipped => true,
            Progress::Waiting | Progress::Gone => false,
        };
        self.replicas.len() >= expected && self.replicas.values().all(is_settled)
    }

    pub(super) fn into_replicas(self) -> Vec<Replica> {
        self.replicas.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STREAM: Stream = Stream::SessionsRevoke;
    const WITHIN: Duration = Duration::from_millis(100);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    /// A receipt with this cursor, and the messages that were applied with their lag in ms.
    fn receipt(name: &str, cursor: u64, applied: &[(u64, u64)]) -> Receipt {
        let lags = applied.iter().map(|(id, lag)| (STREAM.name(), format!("{id}-0"), lag * 1_000));
        serde_json::from_value(json!({
            "replica": name, "ready": true, "staleness_seconds": 0.1,
            "cursors": {STREAM.name(): format!("{cursor}-0")},
            "applied": lags.collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    fn fleet(before: &[Receipt]) -> Fleet {
        Fleet::new(before, Published { stream: STREAM, id: id(7), after: ms(2) })
    }

    fn states(fleet: Fleet) -> Vec<State> {
        fleet.into_replicas().iter().map(|replica| replica.state(WITHIN)).collect()
    }

    #[test]
    fn delay_counts_from_sending_the_message() {
        let mut fleet = fleet(&[receipt("a", 6, &[])]);
        assert!(!fleet.is_settled(1));
        fleet.observe(&[receipt("a", 7, &[(7, 30)])], ms(90));
        assert!(fleet.is_settled(1) && !fleet.is_settled(2));
        assert_eq!(fleet.into_replicas()[0].progress, Progress::Applied(ms(32)));
    }

    #[test]
    fn slow_replica_is_late_though_its_receipt_shows_the_message() {
        let mut fleet = fleet(&[receipt("a", 6, &[]), receipt("b", 6, &[])]);
        fleet.observe(&[receipt("a", 7, &[(7, 99)]), receipt("b", 7, &[(7, 98)])], ms(900));
        assert_eq!(states(fleet), [State::Late, State::Applied]);
    }

    #[test]
    fn rejected_message_does_not_count_as_applied() {
        let mut fleet = fleet(&[receipt("a", 6, &[(6, 1)])]);
        fleet.observe(&[receipt("a", 7, &[(6, 1)])], ms(9));
        assert!(fleet.is_settled(1));
        assert_eq!(states(fleet), [State::Skipped]);
    }

    #[test]
    fn replica_without_receipt_is_gone_unless_it_applied_before() {
        let before = [receipt("a", 6, &[]), receipt("b", 6, &[])];
        let mut fleet = fleet(&before);
        fleet.observe(&[receipt("a", 7, &[(7, 1)]), receipt("b", 6, &[])], ms(9));
        fleet.observe(&[], ms(99));
        assert!(!fleet.is_settled(2));
        assert_eq!(states(fleet), [State::Applied, State::Gone]);
    }

    #[test]
    fn replica_must_be_ready_too() {
        let mut unready = receipt("a", 7, &[(7, 1)]);
        unready.ready = false;
        let mut fleet = fleet(&[]);
        fleet.observe(&[unready], ms(9));
        assert!(!fleet.is_settled(1));
        assert_eq!(states(fleet), [State::NotReady]);
    }
}
