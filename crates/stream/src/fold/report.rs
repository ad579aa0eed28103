//! Writes the follower's report: the position in each stream, and counts of gaps and signatures.

use caracal_revocation_event::{KeyRing, KeySlot, Stream};
use caracal_revocation_state::{GapCause, LossSuspicion, Moment, StreamReport, Tally};

use super::state::Fold;
use super::track::{NEVER, Track};
use crate::entry::PerStream;

/// The counts since the follower began. They are kept here, so that a message takes no lock.
#[derive(Debug)]
pub(super) struct Tallies {
    keys: Vec<(KeySlot, Tally)>,
    bad_signatures: Tally,
    suspicions: Vec<(LossSuspicion, Tally)>,
    gaps: PerStream<Vec<(GapCause, Tally)>>,
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

impl Fold {
    /// Writes the report, for status pages.
    pub(super) fn write_report(&self) {
        let Tallies { keys, bad_signatures, suspicions, gaps } = &self.tallies;
        self.writer.report(|report| {
            if report.streams.is_empty() {
                report.streams = Stream::ALL.map(StreamReport::new).into();
            }
            report.keys.clone_from(keys);
            report.bad_signatures = *bad_signatures;
            report.suspicions.clone_from(suspicions);
            for (stream, gaps) in report.streams.iter_mut().zip(gaps) {
                stream.gaps.clone_from(gaps);
            }
            for (stream, track) in report.streams.iter_mut().zip(self.tracks.iter().flatten()) {
                position(stream, track);
            }
        });
    }
}

fn position(report: &mut StreamReport, track: &Track) {
    report.cursor = track.proof.cursor();
    report.exists = !track.proof.is_unseen();
    report.proven = track.as_of.filter(|as_of| *as_of != NEVER);
    report.replayed = track.proof.replayed();
}
