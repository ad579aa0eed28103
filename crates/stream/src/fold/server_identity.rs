//! Handles the identity and the clock of the server that answers. A new server may lack
//! messages.

use std::time::Duration;

use caracal_revocation_state::{GapCause, LossSuspicion, Moment};

use super::state::Fold;
use crate::continuity::Continuity;
use crate::entry::PerStream;
use crate::identity::Identity;
use crate::log_error::LogError;
use crate::server_clock::ServerClock;

impl Fold {
    /// Records the time of a source's clock, and returns the clock.
    pub(super) fn observe_clock(
        &mut self,
        source: usize,
        server_time: Duration,
        sent: Moment,
        now: Moment,
    ) -> ServerClock {
        let Some(source) = self.sources.get_mut(source) else { return ServerClock::default() };
        source.clock.observe(server_time, sent, now);
        source.clock
    }

    /// Records the identity of the server that answers for these streams.
    pub(super) fn observe_identity(
        &mut self,
        identity: &Identity,
        sent: Moment,
        source: usize,
        streams: PerStream<bool>,
    ) -> Result<(), LogError> {
        let Some(source) = self.sources.get_mut(source) else { return Ok(()) };
        let (is_another, continuity) = source.observe_identity(identity, sent);
        // The other server may lack entries that were read but not proven yet.
        if is_another {
            self.on(streams).for_each(|track| track.must_reread = true);
        }
        match continuity {
            Continuity::TookOver if self.writer.options().strict => {
                self.suspect_loss(LossSuspicion::Failover, streams);
            }
            Continuity::Sound | Continuity::Moved => {}
            // The last messages that the previous primary acknowledged may be lost. Only a baseline
            // detects that, and reading it is cheap.
            Continuity::TookOver => self.writer.suspect_loss(),
            Continuity::Behind => return Err(LogError::Behind),
            Continuity::LossSuspected(suspicion) => self.suspect_loss(suspicion, streams),
        }
        Ok(())
    }

    /// Handles a suspected gap: the server may have lost messages that were never read here.
    pub(super) fn suspect_loss(&mut self, suspicion: LossSuspicion, streams: PerStream<bool>) {
        self.metrics.suspicion(suspicion);
        self.tallies.suspicion(suspicion, self.writer.now());
        self.writer.suspect_loss();
        let strict = self.writer.options().strict;
        if let Some(count) = self.throttles.suspicion.add(1, self.writer.now().monotonic) {
            tracing::warn!(
                cause = suspicion.label(),
                strict,
                count,
                "Redis was restarted or replaced and may have lost acknowledged messages: \
                 revocations may be missing; set appendfsync always or WAIT for replicas, and add \
                 a baseline to close the gap"
            );
        }
        for track in self.on(streams) {
            track.must_reread = true;
            track.broken = strict.then_some(GapCause::Suspected);
        }
    }
}
