//! Advances the proofs of the streams, and handles a gap: raises the horizon, and reads the stream
//! again.

use std::time::Duration;

use caracal_revocation_event::Stream;
use caracal_revocation_state::{GapCause, Moment};

use super::state::Fold;
use crate::proof::{Proof, Proven};

impl Fold {
    /// Advances one stream's proof by one step.
    pub(super) fn prove(
        &mut self,
        stream: Stream,
        step: impl FnOnce(&mut Proof) -> Result<Option<Proven>, GapCause>,
    ) {
        let Some(track) = self.tracks.as_mut().and_then(|all| all.get_mut(stream.index())) else {
            return;
        };
        if track.broken.is_some() || track.must_reread {
            return;
        }
        match step(&mut track.proof) {
            Ok(None) => {}
            // rule: rereads-after-gap
            Err(gap) => track.broken = Some(gap),
            Ok(Some(Proven { as_of, lost_up_to, unshown_up_to, is_young })) => {
                // A replica may prove an earlier time than was already proven.
                let earlier = track.as_of.filter(|earlier| earlier.monotonic > as_of.monotonic);
                track.as_of = Some(earlier.unwrap_or(as_of));
                track.is_young |= is_young;
                // A crash or failover before this start, and the messages that it lost, leave no
                // trace in the counters.
                let unshown = unshown_up_to.filter(|_| self.writer.options().strict);
                let now = self.writer.now().monotonic;
                let throttle = self.throttles.uncertain.get_mut(stream.index());
                if let Some(lost_up_to) = lost_up_to
                    && let Some(count) = throttle.and_then(|throttle| throttle.add(1, now))
                {
                    tracing::warn!(
                        %stream,
                        up_to_ms = lost_up_to.as_millis(),
                        count,
                        "messages published up to this time may be missing: tokens issued before \
                         it are denied, and refreshed tokens pass"
                    );
                }
                if let Some(uncertain_up_to) = lost_up_to.max(unshown) {
                    self.cover(stream, uncertain_up_to);
                }
            }
        }
    }

    /// Covers messages that may be missing from a stream up to `lost_up_to`, by the server's clock.
    /// Raises the horizon, or invalidates the cached keys or policies.
    pub(super) fn cover(&self, stream: Stream, lost_up_to: Duration) {
        match stream {
            Stream::KeysInvalidate | Stream::PolicyInvalidate => self.invalidate_all(stream),
            Stream::SessionsRevoke | Stream::DelegationsInvalidate | Stream::AgentsLifecycle => {
                self.writer.raise_horizon(self.horizon_for(lost_up_to));
            }
        }
    }

    /// Invalidates the cached keys or policies of every zone, depending on the stream.
    fn invalidate_all(&self, stream: Stream) {
        if stream == Stream::KeysInvalidate {
            self.writer.forget_all_keys();
        } else {
            self.writer.reload_all_policies();
        }
    }

    /// Returns the second up to which issued tokens may be affected by messages that were lost up
    /// to this time.
    pub(super) fn horizon_for(&self, lost_up_to: Duration) -> i64 {
        let margin = self.writer.options().horizon_margin;
        i64::try_from(lost_up_to.saturating_add(margin).as_secs()).unwrap_or(i64::MAX)
    }

    /// Invalidates the keys or policies of all zones after re-cut messages about them: at once for
    /// the first, and at intervals for repeated ones, because every zone then loads again.
    pub(super) fn cover_recuts(&mut self, now: Moment) {
        let now = now.monotonic;
        for stream in [Stream::KeysInvalidate, Stream::PolicyInvalidate] {
            let Some(recuts) = self.recuts.get_mut(stream.index()) else { continue };
            if recuts.are_waiting && now >= recuts.limiter.earliest() {
                recuts.are_waiting = false;
                recuts.limiter.done(now);
                self.invalidate_all(stream);
            }
        }
    }

    /// Restarts each stream that has a gap, and rereads each stream that another server took over.
    ///
    /// Runs at the end of an answer. Other entries of such a stream in this answer were applied,
    /// but prove nothing.
    pub(super) fn restart_broken(&mut self) {
        let now = self.writer.now().monotonic;
        let tracks = self.tracks.iter_mut().flatten().zip(&mut self.throttles.lost);
        for (stream, (track, throttle)) in Stream::ALL.into_iter().zip(tracks) {
            if std::mem::take(&mut track.must_reread) {
                track.proof.reread();
            }
            let Some(gap) = track.broken.take() else { continue };
            track.proof.restart();
            self.applied.forget();
            self.metrics.gap(gap);
            self.tallies.gap(stream, gap, self.writer.now());
            if let Some(count) = throttle.add(1, now) {
                tracing::error!(
                    %stream, cause = gap.label(), count,
                    "messages were lost, or strict mode assumes so: the stream was trimmed past \
                     the cursor, flushed or created again, or entries were deleted; reading it \
                     again from its first entry"
                );
            }
        }
    }
}
