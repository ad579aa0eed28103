//! What is proven of each stream, and what must be covered or read again.

use std::time::Duration;

use caracal_revocation_event::Stream;
use caracal_revocation_state::Moment;

use super::state::Fold;
use crate::proof::{Hole, Passed, Proof};

impl Fold {
    /// Moves one stream's proof on by a step.
    pub(super) fn prove(
        &mut self,
        stream: Stream,
        step: impl FnOnce(&mut Proof) -> Result<Option<Passed>, Hole>,
    ) {
        let Some(track) = self.tracks.as_mut().and_then(|all| all.get_mut(stream.index())) else {
            return;
        };
        if track.broken.is_some() || track.must_reread {
            return;
        }
        match step(&mut track.proof) {
            Ok(None) => {}
            Err(hole) => track.broken = Some(hole),
            Ok(Some(Passed { as_of, lost_up_to, unshown_up_to, is_young })) => {
                // From a replica it may be what it was.
                let earlier = track.as_of.filter(|earlier| earlier.monotonic > as_of.monotonic);
                track.as_of = Some(earlier.unwrap_or(as_of));
                track.is_young |= is_young;
                // However whole the server looks: a crash or failover before this start, and what
                // it lost then, has left no trace.
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
                        "messages published up to this time may be missing: tokens made before it \
                         are refused, refreshed ones pass"
                    );
                }
                if let Some(uncertain_up_to) = lost_up_to.max(unshown) {
                    self.cover(stream, uncertain_up_to);
                }
            }
        }
    }

    /// Covers what may be missing from a stream up to `lost_up_to` by the server's clock.
    pub(super) fn cover(&self, stream: Stream, lost_up_to: Duration) {
        match stream {
            Stream::KeysInvalidate | Stream::PolicyInvalidate => self.invalidate_all(stream),
            Stream::SessionsRevoke | Stream::DelegationsInvalidate | Stream::AgentsLifecycle => {
                self.writer.raise_horizon(self.horizon_for(lost_up_to));
            }
        }
    }

    /// Treats what is cached of every zone as invalidated, for a stream about keys or policies.
    fn invalidate_all(&self, stream: Stream) {
        if stream == Stream::KeysInvalidate {
            self.writer.forget_all_keys();
        } else {
            self.writer.reload_all_policies();
        }
    }

    /// The second up to which tokens are concerned by what was lost up to this time.
    pub(super) fn horizon_for(&self, lost_up_to: Duration) -> i64 {
        let margin = self.writer.options().horizon_margin;
        i64::try_from(lost_up_to.saturating_add(margin).as_secs()).unwrap_or(i64::MAX)
    }

    /// Covers what re-cut messages about keys and policies hid. One at once, many in turn: each
    /// time the keys and policies of all zones are loaded again.
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

    /// Begins to read again each stream in which a hole was found, or that another server may
    /// have gone on with.
    ///
    /// Not before the end of the answer: what else it holds of such a stream was applied, and
    /// proves nothing.
    pub(super) fn restart_broken(&mut self) {
        let now = self.writer.now().monotonic;
        let tracks = self.tracks.iter_mut().flatten().zip(&mut self.throttles.lost);
        for (stream, (track, throttle)) in Stream::ALL.into_iter().zip(tracks) {
            if std::mem::take(&mut track.must_reread) {
                track.proof.reread();
            }
            let Some(hole) = track.broken.take() else { continue };
            track.proof.restart();
            self.applied.forget();
            self.metrics.hole(hole);
            if let Some(count) = throttle.add(1, now) {
                tracing::error!(
                    %stream, cause = hole.label(), count,
                    "messages were lost: the stream was trimmed past the cursor, deleted from, \
                     flushed or made anew, or may have been; reading it again"
                );
            }
        }
    }
}
