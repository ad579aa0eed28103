//! Counts what the follower met since it began: keys, bad signatures, gaps and suspicions.

use caracal_revocation_event::{KeyRing, KeySlot, Stream};
use caracal_revocation_state::{GapCause, LossSuspicion, Moment, Tally};

use crate::entry::PerStream;

/// The counts since the follower began. They are kept here, so that a message takes no lock.
#[derive(Debug)]
pub(super) struct Tallies {
    pub(super) keys: Vec<(KeySlot, Tally)>,
    pub(super) bad_signatures: Tally,
    pub(super) suspicions: Vec<(LossSuspicion, Tally)>,
    pub(super) gaps: PerStream<Vec<(GapCause, Tally)>>,
}

impl Tallies {
    pub(super) fn new(keys: &KeyRing) -> Self {
        Self {
            keys: keys.slots().map(|slot| (slot, Tally::default())).collect(),
            bad_signatures: Tally::default(),
            suspicions: Vec::new(),
            gaps: PerStream::default(),
        }
    }

    pub(super) fn verified(&mut self, slot: KeySlot, now: Moment) {
        add(&mut self.keys, slot, now);
    }

    pub(super) const fn bad_signature(&mut self, now: Moment) {
        self.bad_signatures.add(now);
    }

    pub(super) fn suspicion(&mut self, suspicion: LossSuspicion, now: Moment) {
        add(&mut self.suspicions, suspicion, now);
    }

    pub(super) fn gap(&mut self, stream: Stream, gap: GapCause, now: Moment) {
        if let Some(gaps) = self.gaps.get_mut(stream.index()) {
            add(gaps, gap, now);
        }
    }
}

fn add<T: PartialEq>(tallies: &mut Vec<(T, Tally)>, which: T, now: Moment) {
    if let Some((_, tally)) = tallies.iter_mut().find(|(it, _)| *it == which) {
        return tally.add(now);
    }
    let mut tally = Tally::default();
    tally.add(now);
    tallies.push((which, tally));
}
