//! Logs and counts messages that have no effect. Each kind logs at most one line a minute.

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::acl;
use caracal_revocation_stream::internal::{LogError, Throttle};
use metrics::counter;
use tokio::time::Instant;

/// Logs what goes wrong with messages, at a limited rate: any writer to the stream can cause any
/// number of such lines.
#[derive(Debug)]
pub(crate) struct Report {
    began: Instant,
    rejected: Throttle,
    trimmed: Throttle,
    unwritten: Throttle,
    unreadable: Throttle,
}

impl Report {
    pub(crate) fn new() -> Self {
        let (rejected, trimmed, unwritten, unreadable) = Default::default();
        Self { began: Instant::now(), rejected, trimmed, unwritten, unreadable }
    }

    /// Reports the dead letter of a message that cannot be used. `is_written` is `true` if this
    /// runner wrote the letter.
    pub(crate) fn rejected(&mut self, stream: Stream, id: StreamId, error: &str, is_written: bool) {
        if is_written {
            Self::dead_lettered();
        }
        if let Some(count) = self.rejected.add(1, self.began.elapsed()) {
            tracing::error!(
                %stream, %id, error, count,
                "messages that cannot be used were dead-lettered: they have no effect"
            );
        }
    }

    /// Reports an effect that was given up and dead-lettered.
    pub(crate) fn given_up(stream: Stream, id: StreamId, error: &str) {
        Self::dead_lettered();
        tracing::error!(%stream, %id, error, "an effect was given up and dead-lettered");
    }

    /// Reports messages that were trimmed from the stream while pending.
    pub(crate) fn trimmed(&mut self, stream: Stream, group: &str, ids: &[StreamId]) {
        let lost = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        counter!("caracal_revocation_effects_lost_total").increment(lost);
        if let Some(count) = self.trimmed.add(ids.len(), self.began.elapsed()) {
            let first = ids.first().map(ToString::to_string).unwrap_or_default();
            tracing::error!(
                %stream, group, id = first, count,
                "messages were trimmed from the stream while they were pending: their effects may \
                 be missing; the dead letters have the ids"
            );
        }
    }

    /// Reports a message that cannot be read even by itself.
    pub(crate) fn unreadable(
        &mut self,
        stream: Stream,
        group: &str,
        id: StreamId,
        error: &LogError,
    ) {
        if let Some(count) = self.unreadable.add(1, self.began.elapsed()) {
            tracing::error!(
                %stream, group, %id, %error, count,
                "a message cannot be read whole: it stays pending without effect; raise \
                 client-output-buffer-limit, or the limit of the proxy, above twice the largest \
                 message, or delete that message"
            );
        }
    }

    /// Counts claimed messages, which are delivered again.
    pub(crate) fn replayed(count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        counter!("caracal_gateway_revocation_pending_replayed_total").increment(count);
    }

    /// Counts a dead letter that was written.
    pub(crate) fn dead_lettered() {
        counter!("caracal_gateway_revocation_dead_letters_total").increment(1);
    }

    /// Reports dead letters that could not be written.
    pub(crate) fn unwritten(&mut self, stream: Stream, error: &LogError) {
        if let Some(count) = self.unwritten.add(1, self.began.elapsed()) {
            let rights = error.is_forbidden().then_some(acl::DEAD_LETTERS);
            tracing::error!(
                %stream, %error, rights, count,
                "dead letters of effects cannot be written: their messages stay pending; trying \
                 again"
            );
        }
    }
}
