//! Proof, by counting, that no entry of a stream was missed.
//!
//! `XREAD` jumps over what was trimmed, deleted or lost without a word. So every read is preceded
//! by the stream's counters, and when the cursor reaches the `last-generated-id` they named, the
//! entries read since the last proof must equal the growth of `entries-added`. Anything else is a
//! hole.
//!
//! The first pass has no earlier proof to count from. It is complete when everything that was
//! ever added was read; if not, the counters are asked once more, after the replay, and
//! whatever may be missing inside the replayed window raises the horizon.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_state::Moment;

use crate::entry::{Counters, Head};
use crate::snapshot::Checkpoint;

/// What one stream's reading proves, step by step.
#[derive(Debug)]
pub(crate) struct Proof {
    /// What may be missing from before this concerns no living token.
    window: StreamId,
    cursor: StreamId,
    /// The highest id that was read and counted; beyond the cursor while the stream is read again.
    counted: StreamId,
    /// Entries read since the last proof, or since the start of the replay.
    read: u64,
    phase: Phase,
    /// The counters that the cursor is on its way to.
    pending: Option<Pending>,
    /// Whether the server ever had the stream.
    seen: bool,
    /// A hole was found and no check has passed since.
    after_hole: bool,
    /// The highest id that was counted when another server went on with the stream, until a check
    /// passes there.
    taken_over_at: Option<StreamId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reading history; nothing is proven.
    Replaying,
    /// History was read up to where `entries_added` was this; what it may lack is not yet known.
    Closing { added: u64 },
    /// Proven complete up to where `entries_added` was this.
    Tailing { added: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    /// None where the server does not count: then only ids that go back show a hole.
    added: Option<u64>,
    counters: Counters,
    sent: Moment,
    server_time: Duration,
}

/// A check that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// When the check was sent: up to then the stream is complete.
    pub(crate) as_of: Moment,
    /// Messages published up to this time (since the Unix epoch) may be missing.
    pub(crate) lost_up_to: Option<Duration>,
    /// At the end of a replay: up to this time, what the server may have acknowledged and lost is
    /// not shown by anything that it says.
    pub(crate) unshown_up_to: Option<Duration>,
    /// The stream is younger than what concerns a living token, and might have been made anew.
    pub(crate) is_young: bool,
}

/// Evidence that entries were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hole {
    /// The stream was there and is gone.
    Missing,
    /// The server's ids stand behind the cursor.
    IdsWentBack,
    /// The number of entries read is not the number added.
    Count,
    /// Nothing shows it, and strict mode takes it for one.
    Suspected,
}

impl Hole {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::IdsWentBack => "ids_went_back",
            Self::Count => "count",
            Self::Suspected => "suspected",
        }
    }
}

impl Proof {
    /// A proof that begins by replaying the stream, of which nothing may be missing from
    /// `window` on.
    ///
    /// It reads from the first entry all the same: a server whose clock is behind gives new
    /// messages old ids.
    pub(crate) const fn since(window: StreamId) -> Self {
        Self {
            window,
            cursor: StreamId::ZERO,
            counted: StreamId::ZERO,
            read: 0,
            phase: Phase::Replaying,
            pending: None,
            seen: false,
            after_hole: false,
            taken_over_at: None,
        }
    }

    /// A proof that counts on where another one stood. It reads from the first entry all the same:
    /// a server that lost its newest entries may have given their ids to others since.
    pub(crate) const fn resumed(window: StreamId, at: &Checkpoint) -> Self {
        Self {
            counted: at.cursor(),
            read: at.read,
            phase: Phase::Tailing { added: at.added },
            seen: at.seen,
            ..Self::since(window)
        }
    }

    /// Returns the state to continue from with [`Proof::resumed`]; `None` until the history was read, and
    /// while the stream is read again.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        match self.phase {
            Phase::Tailing { added } if !self.is_rereading() => {
                Some(Checkpoint::new(self.cursor, self.read, added, self.seen))
            }
            Phase::Tailing { .. } | Phase::Replaying | Phase::Closing { .. } => None,
        }
    }

    /// After a hole: reads the stream again from its first entry, which is harmless, and counts
    /// from there.
    pub(crate) fn restart(&mut self) {
        *self = Self { seen: self.seen, after_hole: true, ..Self::since(self.window) };
    }

    /// The server may have lost its newest entries, and given their ids to others since, in any
    /// number: reads the stream again from its first entry. What was counted stays counted.
    pub(crate) fn reread(&mut self) {
        self.cursor = StreamId::ZERO;
        // What the server before promised says nothing of this one.
        self.pending = None;
        self.taken_over_at.get_or_insert(self.counted);
    }

    /// Returns `true` if the next entries were read before, as far as their ids tell.
    fn is_rereading(&self) -> bool {
        self.cursor < self.counted
    }

    /// The id after which to read on.
    pub(crate) const fn cursor(&self) -> StreamId {
        self.cursor
    }

    /// Returns `true` if the stream was read to its end, and new entries may be waited for.
    pub(crate) fn is_tailing(&self) -> bool {
        matches!(self.phase, Phase::Tailing { .. }) && !self.is_rereading()
    }

    /// How much of the way from the first id to the newest that is known is behind, 0 to 1.
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

    /// Whether the server has never had the stream.
    pub(crate) const fn is_unseen(&self) -> bool {
        !self.seen
    }

    /// Takes in what the server said, in an answer to a read sent at `sent`, before the entries
    /// of that answer.
    pub(crate) fn head(
        &mut self,
        head: Head,
        sent: Moment,
        server_time: Duration,
    ) -> Result<Option<Passed>, Hole> {
        let counters = match head {
            Head::Present(counters) => counters,
            Head::Uncounted(last_generated) => Counters { last_generated, ..Counters::default() },
            Head::Missing if self.seen && !self.after_hole => return Err(Hole::Missing),
            // After a hole the stream may stay away: then it is as one that never was, and that
            // it is missing is not found out again at every read.
            Head::Missing => Counters::default(),
        };
        let counts = !matches!(head, Head::Uncounted(_));
        self.seen = head != Head::Missing;
        if counters.last_generated < self.counted {
            return Err(Hole::IdsWentBack);
        }
        let earlier = match (self.pending, self.phase) {
            (Some(pending), _) => pending.added.unwrap_or_default(),
            (None, Phase::Closing { added } | Phase::Tailing { added }) => added,
            (None, Phase::Replaying) => 0,
        };
        if counts && counters.entries_added < earlier {
            return Err(Hole::Count);
        }
        if self.pending.is_none() {
            let added = counts.then_some(counters.entries_added);
            self.pending = Some(Pending { added, counters, sent, server_time });
        }
        self.settle()
    }

    /// Takes in the next entry.
    pub(crate) fn entry(&mut self, id: StreamId) -> Result<Option<Passed>, Hole> {
        // An entry beyond the pending counters: everything up to them has been read.
        let passed = match self.pending {
            Some(pending) if id > pending.counters.last_generated => self.check(pending)?,
            _ => None,
        };
        if id <= self.cursor {
            return Err(Hole::IdsWentBack);
        }
        self.cursor = id;
        if id > self.counted {
            self.counted = id;
            self.read += 1;
        }
        Ok(self.settle()?.or(passed))
    }

    /// Takes in that the answer held all that stood after the cursor, and so everything up to
    /// the pending counters, which were taken before it.
    pub(crate) fn drained(&mut self) -> Result<Option<Passed>, Hole> {
        self.cursor = self.counted;
        self.pending.map_or(Ok(None), |pending| self.check(pending))
    }

    /// Checks the pending counters, if the cursor has reached them.
    fn settle(&mut self) -> Result<Option<Passed>, Hole> {
        match self.pending {
            Some(pending) if self.cursor >= pending.counters.last_generated => self.check(pending),
            _ => Ok(None),
        }
    }

    fn check(&mut self, pending: Pending) -> Result<Option<Passed>, Hole> {
        self.pending = None;
        let read = std::mem::take(&mut self.read);
        let first = pending.counters.first;
        let was_replayed = !matches!(self.phase, Phase::Tailing { .. });
        let is_young = matches!(self.phase, Phase::Replaying)
            && (first == StreamId::ZERO || first > self.window);
        let mut missing = None;
        if let Some(added) = pending.added {
            match self.phase {
                Phase::Replaying if read != added => {
                    self.phase = Phase::Closing { added };
                    return Ok(None);
                }
                Phase::Closing { added: before } | Phase::Tailing { added: before }
                    if Some(read) != added.checked_sub(before) =>
                {
                    return Err(Hole::Count);
                }
                Phase::Tailing { .. } if self.may_hide_removal(&pending.counters) => {
                    return Err(Hole::Count);
                }
                Phase::Closing { .. } => {
                    missing = self
                        .missing_from_window(&pending.counters)
                        // Ids may run ahead of a clock that was set back.
                        .map(|up_to| up_to.min(pending.server_time));
                }
                Phase::Replaying | Phase::Tailing { .. } => {}
            }
        }
        self.phase = Phase::Tailing { added: pending.added.unwrap_or_default() };
        self.taken_over_at = None;
        let hole = std::mem::take(&mut self.after_hole).then_some(pending.server_time);
        Ok(Some(Passed {
            as_of: pending.sent,
            lost_up_to: hole.max(missing),
            unshown_up_to: was_replayed.then_some(pending.server_time),
            is_young,
        }))
    }

    /// Returns `true` if equal counts may be a coincidence: another server went on with the stream, and
    /// newer entries than were counted by then were removed. If that server lost as many entries that
    /// were counted here, the two numbers cancel out.
    fn may_hide_removal(&self, counters: &Counters) -> bool {
        let at = self.taken_over_at.filter(|at| *at > StreamId::ZERO);
        at.is_some_and(|at| counters.first.max(counters.max_deleted) > at)
    }

    /// Up to when entries inside the replayed window may have been trimmed or deleted.
    fn missing_from_window(&self, counters: &Counters) -> Option<Duration> {
        // An empty stream has lost everything up to its last id.
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
