//! The receipt of one replica.

use std::collections::BTreeMap;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use serde::{Deserialize, Serialize};

/// The prefix of a receipt's key. The replica's name follows.
pub const PREFIX: &str = "caracal.revocation.receipt:";

/// The number of latest messages that a receipt holds.
pub(super) const LATEST: usize = 64;

/// The position of one replica in each stream, and the delay of its latest messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The name of the replica.
    pub replica: String,
    /// `true` if the replica accepts requests.
    pub ready: bool,
    /// The age of the replica's last completeness proof, in seconds, if it has one.
    pub staleness_seconds: Option<f64>,
    /// The last id that was read of each stream, by the stream's name.
    cursors: BTreeMap<String, String>,
    /// The latest messages: stream, id, and the microseconds from adding to applying the message.
    applied: Vec<(String, String, u64)>,
}

impl Receipt {
    pub(crate) fn new(
        replica: &str,
        cursors: impl Iterator<Item = (Stream, StreamId)>,
        applied: impl Iterator<Item = (Stream, StreamId, Duration)>,
    ) -> Self {
        Self {
            replica: replica.to_owned(),
            cursors: cursors.map(|(stream, id)| (stream.to_string(), id.to_string())).collect(),
            applied: applied
                .map(|(stream, id, lag)| {
                    let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
                    (stream.to_string(), id.to_string(), micros)
                })
                .collect(),
            ..Self::default()
        }
    }

    /// Returns the last id that the replica has read of the stream.
    #[must_use]
    pub fn cursor(&self, stream: Stream) -> Option<StreamId> {
        self.cursors.get(stream.name())?.parse().ok()
    }

    /// Returns `true` if the replica has applied this message of the stream, and all before it.
    #[must_use]
    pub fn has_applied(&self, stream: Stream, id: StreamId) -> bool {
        self.cursor(stream).is_some_and(|cursor| cursor >= id)
    }

    /// Returns the time from adding this message to applying it, if it is among the latest.
    #[must_use]
    pub fn lag(&self, stream: Stream, id: StreamId) -> Option<Duration> {
        let id = id.to_string();
        let mut latest = self.applied.iter().rev();
        latest
            .find(|(its_stream, its_id, _)| its_stream == stream.name() && *its_id == id)
            .map(|(_, _, micros)| Duration::from_micros(*micros))
    }

    /// Returns `true` if the replica has read this message, and did not apply it as a new one. It
    /// rejected the message, or read it again after a start or a gap.
    ///
    /// Returns `false` if so many messages came later that the receipt cannot show it.
    #[must_use]
    pub fn has_skipped(&self, stream: Stream, id: StreamId) -> bool {
        let is_earlier = |(its_stream, its_id, _): &(String, String, u64)| {
            its_stream == stream.name() && its_id.parse().is_ok_and(|its_id: StreamId| its_id < id)
        };
        // A message that was applied is dropped from the list only after all earlier ones.
        let is_whole = self.applied.len() < LATEST || self.applied.iter().any(is_earlier);
        self.has_applied(stream, id) && self.lag(stream, id).is_none() && is_whole
    }

    /// Returns the time from adding each of the latest messages to applying it, oldest first.
    pub fn lags(&self) -> impl Iterator<Item = Duration> {
        self.applied.iter().map(|(_, _, micros)| Duration::from_micros(*micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipt_survives_json_round_trip() {
        let id = |ms| StreamId::new(ms, 0);
        let (revoke, keys) = (Stream::SessionsRevoke, Stream::KeysInvalidate);
        let lag = Duration::from_micros(1_250);
        let receipt = Receipt::new(
            "gw-1",
            [(revoke, id(7)), (keys, StreamId::ZERO)].into_iter(),
            [(revoke, id(7), lag)].into_iter(),
        );
        let text = serde_json::to_string(&receipt).unwrap();
        let receipt: Receipt = serde_json::from_str(&text).unwrap();
        assert!(receipt.has_applied(revoke, id(7)) && receipt.has_applied(revoke, id(6)));
        assert!(!receipt.has_applied(revoke, StreamId::new(7, 1)));
        assert!(!receipt.has_applied(keys, id(1)));
        assert!(!receipt.has_applied(Stream::PolicyInvalidate, id(1)), "no cursor for it");
        assert_eq!(receipt.lag(revoke, id(7)), Some(lag));
        assert_eq!(receipt.lag(keys, id(7)), None);
        assert_eq!(receipt.lags().collect::<Vec<_>>(), [lag]);
    }

    #[test]
    fn message_read_without_effect_was_skipped() {
        let (revoke, id) = (Stream::SessionsRevoke, |ms| StreamId::new(ms, 0));
        let receipt = |cursor: u64, applied: std::ops::Range<u64>| {
            let lags = applied.map(|ms| (revoke, id(ms), Duration::ZERO));
            Receipt::new("gw-1", [(revoke, id(cursor))].into_iter(), lags)
        };
        assert!(receipt(7, 1..7).has_skipped(revoke, id(7)));
        assert!(!receipt(7, 1..8).has_skipped(revoke, id(7)), "applied");
        assert!(!receipt(6, 1..7).has_skipped(revoke, id(7)), "not read yet");
        let latest = LATEST as u64;
        assert!(!receipt(99, 8..8 + latest).has_skipped(revoke, id(7)), "dropped, or skipped");
        assert!(receipt(99, 6..6 + latest).has_skipped(revoke, StreamId::new(6, 1)));
    }
}
