//! Applies one reading of the log to the state: verifies and applies messages, advances the proofs,
//! and updates freshness.

use caracal_revocation_event::Stream;
use caracal_revocation_state::{Moment, OutageCause};

use super::messages::Received;
use super::state::Fold;
use super::track::NEVER;
use crate::entry::Head;
use crate::log::Reading;
use crate::log_error::LogError;
use crate::proof::Proof;

impl Fold {
    /// Applies the answer to a read that was sent at `sent` and arrived at `now`.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the answer cannot be used. Then none of it was applied.
    pub(crate) fn absorb(
        &mut self,
        reading: &Reading,
        sent: Moment,
        now: Moment,
    ) -> Result<(), LogError> {
        let streams = reading.streams;
        let source = self.source_of(streams);
        if let Some(identity) = &reading.identity {
            self.observe_identity(identity, sent, source, streams)?;
        }
        // rule: proof-is-as-old-as-its-question
        let server_clock = self.observe_clock(source, reading.server_time, sent, now);
        let server_time = reading.server_time.unwrap_or_else(|| server_clock.latest(now));
        let was_tailing = self.is_tailing();
        let received = Received { now, server_time, server_clock };
        // An answer that is complete up to an unknown time proves no freshness.
        let as_of = reading.as_of.moment(sent).unwrap_or(NEVER);
        for (stream, head) in Stream::ALL.into_iter().zip(reading.heads) {
            if let Some(head) = head {
                self.has_seen_streams |= head != Head::Missing;
                if let Some(track) = self.track(stream) {
                    // Ids above the head may later belong to new messages, which must be reported
                    // too.
                    track.reported = track.reported.min(head.last_generated());
                }
                self.prove(stream, |proof| proof.head(head, as_of, server_time));
            }
        }
        for entry in &reading.entries {
            self.entry(entry, received);
            self.prove(entry.stream, |proof| proof.entry(entry.id));
        }
        for (stream, drained) in Stream::ALL.into_iter().zip(reading.drained) {
            if drained {
                self.prove(stream, Proof::drained);
            }
        }
        if self.is_tailing() && !was_tailing {
            self.metrics.replays.increment(1);
        }
        self.restart_broken();
        self.cover_recuts(now);
        self.sweep(now);
        self.track_capacity(server_time);
        self.signatures.settle(server_time);
        self.confirm();
        self.alarm();
        self.report(now);
        Ok(())
    }

    /// Counts a failed read, and reports the age of the view. `broke_off` is `true` if the read
    /// before it succeeded.
    pub(crate) fn failed(&mut self, cause: OutageCause, broke_off: bool) {
        self.cover_recuts(self.writer.now());
        self.metrics.read_error(cause);
        if broke_off {
            self.metrics.reconnects.increment(1);
        }
        if broke_off && !self.is_tailing() {
            self.metrics.replay_errors.increment(1);
        }
        self.report(self.writer.now());
    }
}
