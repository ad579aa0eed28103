//! Writes the follower's report: the position in each stream, and counts of gaps and signatures.

use caracal_revocation_event::Stream;
use caracal_revocation_state::StreamReport;

use super::state::Fold;
use super::tallies::Tallies;
use super::track::{NEVER, Track};

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

#[cfg(test)]
mod tests {
    use caracal_revocation_event::StreamId;

    use super::*;
    use crate::proof::Proof;

    #[test]
    fn stream_with_an_entry_exists() {
        let mut track = Track::new(Proof::since(StreamId::ZERO));
        let mut report = StreamReport::new(Stream::SessionsRevoke);
        position(&mut report, &track);
        assert_eq!((report.cursor, report.exists), (StreamId::ZERO, false));
        // A stream may appear after the server was asked for its head, in the same answer.
        track.proof.entry(StreamId::new(7, 0)).unwrap();
        position(&mut report, &track);
        assert_eq!((report.cursor, report.exists), (StreamId::new(7, 0), true));
    }
}
