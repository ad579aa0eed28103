//! How far a consumer has received its entries, and which ones it may have missed.

use caracal_revocation_event::StreamId;

/// The largest possible id.
const END: StreamId = StreamId::new(u64::MAX, u64::MAX);

/// The number of failed attempts to read an entry by itself after which it is skipped.
const READ_ATTEMPTS: u32 = 3;

/// The position up to which this consumer has received its entries.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    /// The last entry that was received or skipped.
    arrived: StreamId,
    /// A range of ids, first excluded: entries in it may be pending here without having arrived.
    missed: Option<(StreamId, StreamId)>,
    /// The number of failed attempts in a row to read the next missed entry by itself.
    attempts: u32,
}

impl Cursors {
    /// Returns the id after which entries may be missed, if any may be.
    pub(crate) fn missed_after(&self) -> Option<StreamId> {
        self.missed.map(|(after, _)| after)
    }

    /// Records that all entries after the last arrived one may be missed.
    pub(crate) fn add_all_later(&mut self) {
        self.add_missed(self.arrived, END);
    }

    /// Records that entries after the first id, up to the second, may be missed.
    pub(crate) fn add_missed(&mut self, after: StreamId, last: StreamId) {
        let (first, until) = self.missed.unwrap_or((after, last));
        self.missed = Some((first.min(after), until.max(last)));
    }

    /// Records a failed read of up to `count` missed entries. Returns `true` if the first one must
    /// be skipped.
    pub(crate) fn record_failure(&mut self, count: usize) -> bool {
        self.attempts += u32::from(count == 1);
        self.attempts >= READ_ATTEMPTS
    }

    /// Records that the entry with this id was received.
    pub(crate) fn record_arrival(&mut self, id: StreamId) {
        self.arrived = self.arrived.max(id);
        self.attempts = 0;
    }

    /// Records that the missed entries up to this id were received or skipped; all of them if
    /// `None`. Returns `true` if more may be missed.
    pub(crate) fn advance(&mut self, id: Option<StreamId>) -> bool {
        self.arrived = self.arrived.max(id.unwrap_or_default());
        self.attempts = 0;
        let missed = self.missed.take().zip(id);
        self.missed = missed.map(|((_, last), id)| (id, last)).filter(|(id, last)| id < last);
        self.missed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    #[test]
    fn missed_entries_end_at_last_claimed() {
        let mut cursors = Cursors::default();
        cursors.add_missed(id(3), id(9));
        cursors.add_missed(id(5), id(7));
        assert_eq!(cursors.missed, Some((id(3), id(9))));
        assert!(cursors.advance(Some(id(8))));
        assert!(!cursors.advance(Some(id(9))), "nothing after it was claimed");
        cursors.add_missed(id(3), END);
        assert!(!cursors.advance(None), "fewer entries arrived than requested");
        assert_eq!(cursors.arrived, id(9));
    }
}
