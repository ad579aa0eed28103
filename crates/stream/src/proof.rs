//! Proves, by counting, that no entry of a stream was missed.
//!
//! `XREAD` silently skips trimmed, deleted and lost entries. So each read first asks for the
//! stream's counters. When the cursor reaches their `last-generated-id`, the number of entries read
//! since the last proof must equal the growth of `entries-added`. If not, the stream has a gap.
//!
//! The first read of the history has no earlier proof to count from. It is complete if it read
//! every entry that was ever added. If not, the counters are read once more after the replay, and
//! entries that may be missing inside the replayed window raise the horizon.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_state::{GapCause, Moment};

use crate::entry::{Counters, Head};
use crate::snapshot::Checkpoint;

/// The proof of one stream. Each step of reading advances it.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The start of the history that counts: entries with lower ids affect no valid token.
    window: StreamId,
    cursor: StreamId,
    /// The highest id that was read and counted. It is ahead of the cursor while the stream is read
    /// again.
    counted: StreamId,
    /// The number of entries read since the last proof, or since the start of the replay.
    read: u64,
    phase: Phase,
    /// The counters to check once the cursor reaches them.
    pending: Option<Pending>,
    /// `true` if the server had the stream at the last read.
    seen: bool,
    /// `true` after a gap, until a check passes.
    after_gap: bool,
    /// The highest id that was counted when another server took over the stream, until a check
    /// passes there.
    taken_over_at: Option<StreamId>,
    /// The number of entries that were read before another server took over an unfinished replay,
    /// and were not read again yet.
    unmatched: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The history is being read, and nothing is proven.
    Replaying,
    /// The history was read up to this `entries_added`. The entries that it lacks are not known
    /// yet.
    Closing { added: u64 },
    /// Proven complete up to this `entries_added`.
    Tailing { added: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    /// `None` if the server does not count entries. Then only ids that go back show a gap.
    added: Option<u64>,
    counters: Counters,
    sent: Moment,
    server_time: Duration,
}

/// The result of a check that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    /// The time at which the check was sent. Up to then the stream is complete.
    pub(crate) as_of: Moment,
    /// The time (since the Unix epoch) up to which published messages may be missing.
    pub(crate) lost_up_to: Option<Duration>,
    /// The time up to which messages that the server acknowledged and then lost cannot be
    /// detected. Set at the end of a replay.
    pub(crate) unshown_up_to: Option<Duration>,
    /// `true` if the stream is younger than the oldest valid token, and may have been created
    /// again.
    pub(crate) is_young: bool,
}

impl Proof {
    /// Creates a proof that begins with a replay of the stream, and covers all entries from
    /// `window` on.
    ///
    /// Reading starts at the first entry, because a server whose clock is behind assigns low ids to
    /// new messages.
    pub(crate) const fn since(window: StreamId) -> Self {
        Self {
            window,
            cursor: StreamId::ZERO,
            counted: StreamId::ZERO,
            read: 0,
            phase: Phase::Replaying,
            pending: None,
            seen: false,
            after_gap: false,
            taken_over_at: None,
            unmatched: 0,
        }
    }

    /// Creates a proof that continues the counting of an earlier process. Reading starts at the
    /// first entry, because a server that lost its newest entries may have assigned their ids to
    /// other entries since.
    pub(crate) fn resumed(window: StreamId, at: &Checkpoint) -> Self {
        Self {
            // rule: reads-from-first-entry
            counted: at.cursor(),
            read: at.read,
            phase: Phase::Tailing { added: at.added },
            seen: at.seen,
            ..Self::since(window)
        }
    }

    /// Returns the state to continue from with [`Proof::resumed`]. Returns `None` until the history
    /// was read, and while the stream is read again.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        match self.phase {
            Phase::Tailing { added } if !self.is_rereading() => {
                Some(Checkpoint::new(self.cursor, self.read, added, self.seen))
            }
            Phase::Tailing { .. } | Phase::Replaying | Phase::Closing { .. } => None,
        }
    }

    /// Restarts the proof after a gap: reads and counts the stream again from its first entry.
    pub(crate) fn restart(&mut self) {
        *self = Self { after_gap: true, ..Self::since(self.window) };
    }

    /// Reads the stream again from its first entry, because the server may have lost its newest
    /// entries and assigned their ids to other entries. Entries that were counted are not counted
    /// again.
    pub(crate) fn reread(&mut self) {
        self.cursor = StreamId::ZERO;
        // The counters of the previous server prove nothing about this one.
        self.pending = None;
        self.taken_over_at.get_or_insert(self.counted);
        // Without a proof there is no number to compare with those counters. So each entry must be
        // there again. An entry that was trimmed since then counts as lost.
        if matches!(self.phase, Phase::Replaying) {
            self.unmatched = self.read;
        }
    }

    /// Returns `true` if the ids of the next entries were read before.
    fn is_rereading(&self) -> bool {
        self.cursor < self.counted
    }

    /// Returns the id after which the next read begins.
    pub(crate) const fn cursor(&self) -> StreamId {
        self.cursor
    }

    /// Returns `true` if the stream was read to its end, and new entries may be waited for.
    pub(crate) fn is_tailing(&self) -> bool {
        matches!(self.phase, Phase::Tailing { .. }) && !self.is_rereading()
    }

    /// Returns the share of the history that was read, from 0 to 1, by the time in the ids.
    pub(crate) fn replayed(&self) -> f64 {
        match self.pending {
            _ if self.is_tailing() => 1.0,
            Some(Pending { counters, .. }) => {
                let way = counters.last_generated.ms.saturating_sub(counters.first.ms).max(1);
                let behind = self.cursor.ms.saturating_sub(counters.first.ms);
                (behind as f64 / way as f64).min(1.0)
            }
            None => 0.0,
        }
    }

    /// Returns `true` if the server did not have the stream at the last read.
    pub(crate) const fn is_unseen(&self) -> bool {
        !self.seen
    }

    /// Records the head in an answer to a read that was sent at `sent`. Called before the entries
    /// of that answer.
    pub(crate) fn head(
        &mut self,
        head: Head,
        sent: Moment,
        server_time: Duration,
    ) -> Result<Option<Proven>, GapCause> {
        let counters = match head {
            Head::Present(counters) => counters,
            Head::Uncounted(last_generated) => Counters { last_generated, ..Counters::default() },
            Head::Missing if self.seen && !self.after_gap => return Err(GapCause::Missing),
            // After a gap the stream may stay missing. It then counts as one that never existed, so
            // that not every read finds another gap.
            Head::Missing => Counters::default(),
        };
        let counts = !matches!(head, Head::Uncounted(_));
        self.seen = head != Head::Missing;
        if counters.last_generated < self.counted {
            return Err(GapCause::IdsWentBack);
        }
        let earlier = match (self.pending, self.phase) {
            (Some(pending), _) => pending.added.unwrap_or_default(),
            (None, Phase::Closing { added } | Phase::Tailing { added }) => added,
            (None, Phase::Replaying) => 0,
        };
        if counts && counters.entries_added < earlier {
            return Err(GapCause::Count);
        }
        if self.pending.is_none() {
            let added = counts.then_some(counters.entries_added);
            self.pending = Some(Pending { added, counters, sent, server_time });
        }
        self.settle()
    }

    /// Records the next entry.
    pub(crate) fn entry(&mut self, id: StreamId) -> Result<Option<Proven>, GapCause> {
        // This entry is beyond the pending counters, so everything up to them was read.
        let proven = match self.pending {
            Some(pending) if id > pending.counters.last_generated => self.check(pending)?,
            _ => None,
        };
        if id <= self.cursor {
            return Err(GapCause::IdsWentBack);
        }
        self.cursor = id;
        self.seen = true;
        if id > self.counted {
            self.counted = id;
            self.read += 1;
        } else {
            self.unmatched = self.unmatched.saturating_sub(1);
        }
        Ok(self.settle()?.or(proven))
    }

    /// Records that the answer contained all entries after the cursor. So everything up to the
    /// pending counters was read, which were taken earlier.
    pub(crate) fn drained(&mut self) -> Result<Option<Proven>, GapCause> {
        self.cursor = self.counted;
        self.pending.map_or(Ok(None), |pending| self.check(pending))
    }

    /// Checks the pending counters, if the cursor has reached them.
    fn settle(&mut self) -> Result<Option<Proven>, GapCause> {
        match self.pending {
            Some(pending) if self.cursor >= pending.counters.last_generated => self.check(pending),
            _ => Ok(None),
        }
    }

    fn check(&mut self, pending: Pending) -> Result<Option<Proven>, GapCause> {
        self.pending = None;
        let read = std::mem::take(&mut self.read);
        let first = pending.counters.first;
        let was_replayed = !matches!(self.phase, Phase::Tailing { .. });
        let is_young = matches!(self.phase, Phase::Replaying)
            && (first == StreamId::ZERO || first > self.window);
        let mut missing = None;
        if self.unmatched > 0 {
            return Err(GapCause::Count);
        }
        if let Some(added) = pending.added {
            // rule: counts-entries
            match self.phase {
                Phase::Replaying if read != added => {
                    self.phase = Phase::Closing { added };
                    return Ok(None);
                }
                Phase::Closing { added: before } | Phase::Tailing { added: before }
                    if Some(read) != added.checked_sub(before) =>
                {
                    return Err(GapCause::Count);
                }
                Phase::Tailing { .. } if self.may_hide_removal(&pending.counters) => {
                    return Err(GapCause::Count);
                }
                Phase::Closing { .. } => {
                    missing = self
                        .missing_from_window(&pending.counters)
                        // Ids may be ahead of a clock that was set back.
                        .map(|up_to| up_to.min(pending.server_time));
                }
                Phase::Replaying | Phase::Tailing { .. } => {}
            }
        }
        self.phase = Phase::Tailing { added: pending.added.unwrap_or_default() };
        self.taken_over_at = None;
        // rule: horizon-after-gap
        let gap = std::mem::take(&mut self.after_gap).then_some(pending.server_time);
        Ok(Some(Proven {
            as_of: pending.sent,
            lost_up_to: gap.max(missing),
            unshown_up_to: was_replayed.then_some(pending.server_time),
            is_young,
        }))
    }

    /// Returns `true` if equal counts may be a coincidence. After another server took over the
    /// stream, entries were removed that are newer than those counted by then. If that server lost
    /// the same number of counted entries, both numbers still agree.
    fn may_hide_removal(&self, counters: &Counters) -> bool {
        let at = self.taken_over_at.filter(|at| *at > StreamId::ZERO);
        at.is_some_and(|at| counters.first.max(counters.max_deleted) > at)
    }

    /// Returns the time up to which entries inside the replayed window may have been trimmed or
    /// deleted.
    fn missing_from_window(&self, counters: &Counters) -> Option<Duration> {
        // rule: trimmed-before-start-is-missing
        // In an empty stream, every entry up to its last id is gone.
        let first =
            if counters.first == StreamId::ZERO { counters.last_generated } else { counters.first };
        [first, counters.max_deleted]
            .into_iter()
            .filter(|id| *id > self.window)
            .max()
            .map(|id| Duration::from_millis(id.ms))
    }
}

#[cfg(test)]
mod tests;
