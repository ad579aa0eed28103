//! The report of the follower about its own work, for status pages. No decision reads it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caracal_revocation_event::{KeySlot, Stream, StreamId};

use crate::clock::Moment;
use crate::gap::{GapCause, LossSuspicion};
use crate::outage::OutageCause;

/// The report of a follower about its own work, from
/// [`Revocations::follower`](crate::Revocations::follower).
///
/// It holds no key, no address and no id of an anchor. Without a follower, it is empty.
///
/// ```
/// use caracal_revocation_state::{Options, RevocationsWriter};
/// let writer = RevocationsWriter::new(Options::default());
/// assert!(writer.follower().began.is_none());
/// let now = writer.now();
/// writer.report(|report| report.began = Some(now));
/// assert_eq!(writer.reader().follower().began, Some(now));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FollowerReport {
    /// The time at which the follower began.
    pub began: Option<Moment>,
    /// `true` once the follower has ended. Nothing then updates the state any more.
    pub has_ended: bool,
    /// Each stream that the follower reads.
    pub streams: Vec<StreamReport>,
    /// Restarts and failovers after which messages may be missing, by reason. Reasons that never
    /// occurred are left out.
    pub suspicions: Vec<(LossSuspicion, Tally)>,
    /// Each place for a key that verifies messages, with the messages that its key verified. The
    /// places are those that are configured.
    pub keys: Vec<(KeySlot, Tally)>,
    /// Messages that no accepted key signed.
    pub bad_signatures: Tally,
    /// The reads of the baseline, if there is one.
    pub baseline: Option<BaselineReport>,
    /// The snapshot file, if one is configured.
    pub snapshot: Option<SnapshotReport>,
    /// The last reload that was requested.
    pub reload: Option<ReloadReport>,
}

/// A number of events, and the time of the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// The number of events.
    pub count: u64,
    /// The time of the last event.
    pub last: Option<Moment>,
}

impl Tally {
    /// Counts an event.
    pub const fn add(&mut self, now: Moment) {
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
    }
}

/// The position of the follower in one stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamReport {
    /// The stream.
    pub stream: Stream,
    /// The id of the last entry that was read.
    pub cursor: StreamId,
    /// `true` if the server had the stream at the last read.
    pub exists: bool,
    /// The time as of which the stream was last proven complete.
    pub proven: Option<Moment>,
    /// The share of the history that was read, from 0 to 1.
    pub replayed: f64,
    /// The gaps that were found, by cause. Causes that never occurred are left out.
    pub gaps: Vec<(GapCause, Tally)>,
}

impl StreamReport {
    /// Creates the report of a stream that was not read yet.
    #[must_use]
    pub const fn new(stream: Stream) -> Self {
        Self {
            stream,
            cursor: StreamId::ZERO,
            exists: false,
            proven: None,
            replayed: 0.0,
            gaps: Vec::new(),
        }
    }
}

/// The reads of the baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaselineReport {
    /// The time at which the last read ended that succeeded.
    pub read: Option<Moment>,
    /// The time at which the last complete read ended that succeeded.
    pub completed: Option<Moment>,
    /// The number of facts that the last complete read found.
    pub facts: u64,
    /// The error of the last read, if it failed. It holds neither passwords nor addresses.
    pub error: Option<String>,
}

/// The snapshot file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// `true` if the state was restored from the file at the start.
    pub was_restored: bool,
    /// The time at which the file was last written.
    pub written: Option<Moment>,
    /// The error of the last attempt to read or write the file, if it failed.
    pub error: Option<String>,
}

/// A reload that was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadReport {
    /// The time of the request.
    pub requested: Moment,
    /// The time at which the reload ended; `None` while it runs.
    pub ended: Option<Moment>,
    /// The number of messages that were read again so far.
    pub messages: u64,
    /// The cause for which the streams could not be read to their ends.
    pub streams_error: Option<OutageCause>,
    /// The error of the baseline, if it could not be read.
    pub baseline_error: Option<String>,
}

impl ReloadReport {
    /// Creates the report of a reload that begins now.
    #[must_use]
    pub const fn begun(requested: Moment) -> Self {
        Self { requested, ended: None, messages: 0, streams_error: None, baseline_error: None }
    }

    /// Returns `true` if the reload has ended and read everything.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.ended.is_some() && self.streams_error.is_none() && self.baseline_error.is_none()
    }
}

/// The report that one follower writes and status pages read.
///
/// The follower writes it with each answer of the server. A reader holds the lock only to copy a
/// pointer, so that many readers do not delay the follower.
#[derive(Debug, Default)]
pub(crate) struct Report(Mutex<Arc<FollowerReport>>);

impl Report {
    pub(crate) fn change(&self, change: impl FnOnce(&mut FollowerReport)) {
        // Copies the report first if a reader has it.
        change(Arc::make_mut(&mut self.lock()));
    }

    pub(crate) fn get(&self) -> FollowerReport {
        let report = Arc::clone(&self.lock());
        FollowerReport::clone(&report)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<FollowerReport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tally_counts_events_and_keeps_the_time_of_the_last() {
        let at = |seconds| Moment { monotonic: Duration::from_secs(seconds), wall: Duration::ZERO };
        let mut tally = Tally::default();
        tally.add(at(1));
        tally.add(at(2));
        assert_eq!((tally.count, tally.last), (2, Some(at(2))));
    }

    #[test]
    fn reload_is_complete_once_it_ended_without_an_error() {
        let now = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };
        let begun = ReloadReport::begun(now);
        assert!(!begun.is_complete());
        let ended = ReloadReport { ended: Some(now), ..begun };
        assert!(ended.is_complete());
        let no_streams = ReloadReport { streams_error: Some(OutageCause::Tls), ..ended.clone() };
        let no_baseline = ReloadReport { baseline_error: Some("error".into()), ..ended };
        assert!(!no_streams.is_complete() && !no_baseline.is_complete());
    }
}
