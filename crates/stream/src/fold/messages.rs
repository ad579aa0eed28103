//! Verifies each message, then applies or rejects it.

use std::time::Duration;

use caracal_revocation_event::{
    Event, KeySlot, Message, MessageRejection, MessageRejectionKind, Stream, StreamId,
};
use caracal_revocation_state::Moment;

use super::state::Fold;
use crate::entry::Entry;
use crate::server_clock::ServerClock;
use crate::wire::MAX_MESSAGE;

impl Fold {
    pub(super) fn entry(&mut self, entry: &Entry, received: Received) {
        let span = tracing::debug_span!("apply", stream = %entry.stream, id = %entry.id);
        let _in_span = span.enter();
        let track = self.track(entry.stream);
        let is_first = track.is_none_or(|track| track.is_first_reading(entry.id));
        if is_first {
            self.metrics.messages.increment(1);
        }
        if let Some(bytes) = entry.fields.too_large() {
            return self.reject_too_large(entry, bytes, received, is_first);
        }
        let fields = entry.fields.borrowed();
        match self.keys.verify(&Message::new(entry.stream, &fields)) {
            Ok(event) => self.apply(entry, &event, received, is_first),
            Err(rejection) => self.reject(entry, rejection, received, is_first),
        }
    }

    fn apply(&mut self, entry: &Entry, event: &Event<'_>, received: Received, is_first: bool) {
        if event.key() != KeySlot::Unsigned {
            self.believe_key(received.published(entry.id));
        }
        if is_first {
            self.metrics.verified(event.key());
            self.tallies.verified(event.key(), received.now);
        }
        let published = received.now.earlier_by(received.since(entry.id));
        if !self.applied.has(entry, event) {
            self.writer.apply_published(event, published, received.now);
        }
        if event.is_recut() {
            if is_first {
                if let Some(count) = self.throttles.recut.add(1, received.now.monotonic) {
                    tracing::warn!(
                        stream = %entry.stream, id = %entry.id, count,
                        "a signed message was re-cut by a writer to Redis: its clean parts are \
                         applied, and the parts that it hid may be lost; find the program that \
                         writes such messages"
                    );
                }
                self.dead_letters.put(entry, "re-cut: its clean parts were acted on");
            }
            self.cover_recut(entry, received);
        }
        // The age of a replayed message does not measure propagation.
        if self.is_live(entry.stream) {
            let lag = received.since(entry.id);
            self.metrics.lag(event, entry.id, lag);
            if let Some(progress) = &self.progress {
                progress.applied(entry.stream, entry.id, lag);
            }
        }
    }

    fn reject(
        &mut self,
        entry: &Entry,
        rejection: MessageRejection,
        received: Received,
        is_first: bool,
    ) {
        if rejection.was_signed() {
            self.believe_key(received.published(entry.id));
        }
        if is_first {
            self.report_rejection(entry, rejection, received);
        }
        match rejection.kind() {
            MessageRejectionKind::Signature => {
                let at = received.now.earlier_by(received.since(entry.id));
                self.signatures.failed(received.published(entry.id), at);
            }
            MessageRejectionKind::Ambiguous if rejection.was_signed() => {
                self.cover_recut(entry, received);
            }
            _ => {}
        }
    }

    /// Counts, logs and dead-letters a message that is rejected for the first time.
    fn report_rejection(&mut self, entry: &Entry, rejection: MessageRejection, received: Received) {
        self.metrics.rejected(rejection.kind());
        if rejection.kind() == MessageRejectionKind::Signature {
            self.tallies.bad_signature(received.now);
        }
        self.dead_letters.put(entry, rejection);
        let throttle = &mut self.throttles.rejected;
        let admitted =
            if rejection.was_signed() { throttle.add(1, received.now.monotonic) } else { None };
        if let Some(count) = admitted {
            tracing::warn!(
                stream = %entry.stream, id = %entry.id, %rejection, count, "message rejected"
            );
        } else {
            // Any writer to Redis can add many unsigned messages. The counters show their number.
            tracing::debug!(stream = %entry.stream, id = %entry.id, %rejection, "message rejected");
        }
    }

    /// Rejects a message that was too large to be kept. No Caracal service writes such messages.
    fn reject_too_large(&mut self, entry: &Entry, bytes: u64, received: Received, is_first: bool) {
        if is_first {
            self.metrics.rejected(MessageRejectionKind::TooLarge);
            self.dead_letters.put(entry, MessageRejection::too_large());
            if let Some(count) = self.throttles.too_large.add(1, received.now.monotonic) {
                tracing::error!(
                    stream = %entry.stream, id = %entry.id, bytes, max_bytes = MAX_MESSAGE,
                    count,
                    "message too large: it is rejected without verification, and no service of \
                     Caracal writes such messages; find the program that writes them"
                );
            }
        }
        // The message may have been signed, and strict mode treats unknown messages as lost.
        if self.writer.options().strict {
            self.cover_recut(entry, received);
        }
    }

    /// Records that an accepted key signed a message that was published at this time.
    fn believe_key(&mut self, published: Duration) {
        if self.signatures.verified(published) {
            self.dead_letters.release();
        }
    }

    /// Handles a re-cut or too large message as a loss of messages published up to then: raises the
    /// horizon, or notes that the keys or policies of all zones must be invalidated.
    pub(super) fn cover_recut(&mut self, entry: &Entry, received: Received) {
        // rule: recut-raises-horizon
        if matches!(entry.stream, Stream::KeysInvalidate | Stream::PolicyInvalidate) {
            if let Some(recuts) = self.recuts.get_mut(entry.stream.index()) {
                recuts.are_waiting = true;
            }
        } else {
            self.writer.cover_recut(self.horizon_for(received.published(entry.id)));
        }
    }
}

/// The time at which an answer was received, by the clocks of both machines.
#[derive(Clone, Copy)]
pub(super) struct Received {
    pub(super) now: Moment,
    pub(super) server_time: Duration,
    pub(super) server_clock: ServerClock,
}

impl Received {
    /// Returns the publication time of the entry, by the server's clock since the Unix epoch. Any
    /// writer to the stream can choose an id ahead of that clock, so the time is capped.
    fn published(self, id: StreamId) -> Duration {
        Duration::from_millis(id.ms).min(self.server_time)
    }

    /// Returns the time since the publication of the entry.
    fn since(self, id: StreamId) -> Duration {
        self.server_clock.age(id, self.now)
    }
}
