//! What the next read asks for.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::Revocations;

use super::RedisLog;
use super::asked::Asked;
use super::counters::Form;
use crate::entry::PerStream;

/// How long a read waits where it cannot wait for everything that may come.
const SHORT_WAIT: Duration = Duration::from_millis(20);

impl RedisLog {
    /// The entries of all streams, and the counters that are due.
    pub(super) fn all_streams(
        &self,
        cursors: PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Asked {
        let is_reading = wait.is_none() && self.quiet == 0;
        let mut next_due = Duration::MAX;
        let heads = self.per_stream(|stream| {
            let due_in = self.due_in(stream, is_reading);
            next_due = next_due.min(due_in);
            due_in.is_zero().then(|| self.form(stream))
        });
        let wait = match wait {
            _ if next_due.is_zero() => wait,
            // Without counters an answer proves nothing, so it must not be long in coming.
            Some(wait) => Some(wait.min(next_due)),
            // Nor at once, where there was nothing to read a moment ago.
            None => (self.quiet > 0).then(|| next_due.min(SHORT_WAIT)),
        };
        let entries = Stream::ALL.map(|stream| self.streams.contains(&stream));
        self.asked(cursors, wait, heads, entries)
    }

    /// Where even one entry of each stream is too much for one answer: of one stream the counters,
    /// or the entries.
    pub(super) fn next_step(&mut self, cursors: PerStream<StreamId>) -> Asked {
        let steps = 2 * self.streams.len().max(1);
        let stream = self.streams.get(self.step % steps / 2).copied();
        let is_due = stream.is_some_and(|stream| self.due_in(stream, true).is_zero());
        let asks_heads = self.step.is_multiple_of(2) && is_due;
        self.step = (if asks_heads { self.step + 1 } else { (self.step | 1) + 1 }) % steps;
        let is_meant = |other| Some(other) == stream;
        let heads =
            self.per_stream(|other| (asks_heads && is_meant(other)).then(|| self.form(other)));
        let entries = Stream::ALL.map(|other| !asks_heads && is_meant(other));
        let wait = (self.quiet > steps).then_some(SHORT_WAIT);
        self.asked(cursors, wait, heads, entries)
    }

    fn asked(
        &self,
        cursors: PerStream<StreamId>,
        wait: Option<Duration>,
        heads: PerStream<Option<Form>>,
        entries: PerStream<bool>,
    ) -> Asked {
        let (count, is_asking) = (self.batch.count(), self.upstream.is_asking());
        Asked { cursors, count, wait, heads, entries, is_asking }
    }

    fn per_stream<T>(&self, mut of: impl FnMut(Stream) -> Option<T>) -> PerStream<Option<T>> {
        Stream::ALL.map(|stream| self.streams.contains(&stream).then(|| of(stream)).flatten())
    }

    fn due_in(&self, stream: Stream, is_reading: bool) -> Duration {
        let bound = self.revocations.as_ref().map_or(Duration::MAX, Revocations::shortest_bound);
        self.spacing.due_in(stream, is_reading, bound)
    }

    fn form(&self, stream: Stream) -> Form {
        match self.spacing.form(stream) {
            // An older server may not know the other.
            _ if !self.server.counts => Form::Plain,
            _ if self.batch.is_narrow() => Form::Full,
            form => form,
        }
    }
}
