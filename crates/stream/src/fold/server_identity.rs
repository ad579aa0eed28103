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
    /// Returns the index of the source that these streams are read from.
    pub(super) fn source_of(&self, streams: PerStream<bool>) -> usize {
        if self.is_split { streams.iter().position(|read| *read).unwrap_or(0) } else { 0 }
    }

    /// Returns the latest time that the clock of these streams' server may show at `now`.
    pub(crate) fn latest_server_time(&self, streams: PerStream<bool>, now: Moment) -> Duration {
        let source = self.sources.get(self.source_of(streams));
        source.map_or(now.wall, |source| source.clock.latest(now))
    }

    /// Records the time of a source's clock, if it answered that, and returns the clock.
    pub(super) fn observe_clock(
        &mut self,
        source: usize,
        server_time: Option<Duration>,
        sent: Moment,
        now: Moment,
    ) -> ServerClock {
        let Some(source) = self.sources.get_mut(source) else { return ServerClock::default() };
        if let Some(server_time) = server_time {
            source.clock.observe(server_time, sent, now);
        }
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
