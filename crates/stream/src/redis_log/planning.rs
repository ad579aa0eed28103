//! Plans each read: the entries and counters to ask for, and the time to wait.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::Revocations;
use tokio::time::Instant;

use super::batch::Batch;
use super::counters::{self, Form, Spacing};
use super::read_request::ReadRequest;
use crate::entry::PerStream;
use crate::wire::Stopped;

/// The longest wait of a read that does not ask for all streams, or while history may remain.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// The streams of one log, and the facts from earlier answers that shape the next read.
#[derive(Debug)]
pub(super) struct ReadPlanner {
    streams: Vec<Stream>,
    /// The state whose staleness bound limits the time between two proofs.
    revocations: Option<Revocations>,
    batch: Batch,
    spacing: Spacing,
    /// The cursors of the last read.
    cursors: PerStream<StreamId>,
    /// The next step while each stream is read by itself: first its counters, then its entries.
    step: usize,
    /// The number of reads in a row that returned no entry.
    quiet: usize,
    /// The shortest time between two reads while entries arrive. It lets the server answer several
    /// entries in one read.
    read_interval: Duration,
    /// The time at which the last read was sent.
    sent_at: Option<Instant>,
}

impl ReadPlanner {
    pub(super) fn new(streams: Vec<Stream>) -> Self {
        Self {
            streams,
            revocations: None,
            batch: Batch::default(),
            spacing: Spacing::default(),
            cursors: PerStream::default(),
            step: 0,
            quiet: 0,
            read_interval: Duration::ZERO,
            sent_at: None,
        }
    }

    /// Asks for the counters often enough for this state's staleness bound.
    pub(super) fn bounded_by(&mut self, revocations: Revocations) {
        self.revocations = Some(revocations);
    }

    /// Reads at most once in this interval while entries arrive, but never less often than the
    /// counters are due.
    pub(super) const fn read_every(&mut self, interval: Duration) {
        self.read_interval = interval;
    }

    /// Returns the time to wait before the next read is sent. Is zero unless the last read returned
    /// entries, so an entry that arrives alone is read at once.
    pub(super) fn pause(&self) -> Duration {
        let interval = self.read_interval.min(self.shortest_interval());
        let since = self.sent_at.filter(|_| self.quiet == 0).map(|sent_at| sent_at.elapsed());
        since.map_or(Duration::ZERO, |since| interval.saturating_sub(since))
    }

    pub(super) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Returns `true` if even one entry of each stream is too much for one answer.
    pub(super) const fn is_narrow(&self) -> bool {
        self.batch.is_narrow()
    }

    /// Plans the next read, of the entries after the cursors and of the counters that are due.
    /// `counts` is `true` if the server counts entries, and `is_asking` while the slot migrates.
    pub(super) fn plan(
        &mut self,
        cursors: PerStream<StreamId>,
        wait: Option<Duration>,
        counts: bool,
        is_asking: bool,
    ) -> ReadRequest {
        for ((stream, before), cursor) in Stream::ALL.into_iter().zip(self.cursors).zip(cursors) {
            // Only new counters prove a stream that is read again.
            if cursor < before {
                self.spacing.hasten(stream);
            }
        }
        self.cursors = cursors;
        let request = if self.is_narrow() { self.next_step() } else { self.all_streams(wait) };
        let mut request = ReadRequest { is_asking, ..request };
        if !counts {
            // An older server may not know the other form.
            request.heads = request.heads.map(|form| form.map(|_| Form::Plain));
        }
        request
    }

    /// Records that this read was sent.
    pub(super) fn sent(&mut self, request: &ReadRequest) {
        self.sent_at = Some(Instant::now());
        request.heads().for_each(|(stream, _)| self.spacing.sent(stream));
    }

    /// Records the sizes of the answers, and the time that they took. After large or slow answers,
    /// reads ask for fewer entries; large counters are read less often.
    pub(super) fn arrived(&mut self, request: &ReadRequest, sizes: &[u64], took: Duration) {
        let entries = sizes.last().filter(|_| request.wants_entries());
        self.batch.arrived(entries.copied().unwrap_or(0), sizes.iter().sum(), took);
        for (nth, stream) in request.counter_answers() {
            self.spacing.answered(stream, sizes.get(nth).copied().unwrap_or(0));
        }
    }

    /// Records whether the answers had entries.
    pub(super) const fn read(&mut self, had_entries: bool) {
        self.quiet = if had_entries { 0 } else { self.quiet.saturating_add(1) };
    }

    /// Records that the answers did not arrive complete, and where they stopped.
    pub(super) fn cut(&mut self, request: &ReadRequest, stopped: Option<&Stopped>) {
        self.batch.cut();
        let Some(stopped) = stopped else { return };
        if let Some((_, stream)) =
            request.counter_answers().find(|(nth, _)| *nth == stopped.answers)
        {
            self.spacing.answered(stream, stopped.size);
        }
    }

    /// Records that a new connection was opened: all counters are due.
    pub(super) fn reopened(&mut self) {
        self.spacing.restart();
    }

    /// Makes small counters due, since nothing arrived. Returns `true` if there are any.
    pub(super) fn hurry(&mut self) -> bool {
        !self.is_narrow() && self.spacing.hurry(&self.streams)
    }

    /// Plans the entries of all streams, and the counters that are due.
    fn all_streams(&self, wait: Option<Duration>) -> ReadRequest {
        let is_waiting = wait.is_some();
        let is_reading = !is_waiting && self.quiet == 0;
        let mut next_due = Duration::MAX;
        let heads = self.per_stream(|stream| {
            let due_in = self.due_in(stream, is_reading);
            next_due = next_due.min(due_in);
            due_in.is_zero().then(|| self.form(stream))
        });
        let wait = match wait {
            _ if next_due.is_zero() => wait,
            // An answer without counters proves nothing, so it must not wait until they are
            // overdue: an entry that arrives once they are due saves a read of their own.
            Some(wait) => Some(wait.min(next_due + self.shortest_interval())),
            // Waits a little if the last read found no entry.
            None => (self.quiet > 0).then(|| next_due.min(SHORT_WAIT)),
        };
        let entries = Stream::ALL.map(|stream| self.streams.contains(&stream));
        // The answer to `TIME` arrives before the wait, and costs the server a write of its own. So
        // a read that only waits for entries does without.
        let wants_time = !is_waiting || heads.iter().any(Option::is_some);
        ReadRequest { wants_time, ..self.request(wait, heads, entries) }
    }

    /// Plans the counters or the entries of one stream, because one entry of each stream is too
    /// much for one answer.
    fn next_step(&mut self) -> ReadRequest {
        let steps = 2 * self.streams.len().max(1);
        let stream = self.streams.get(self.step % steps / 2).copied();
        let is_due = stream.is_some_and(|stream| self.due_in(stream, true).is_zero());
        let wants_counters = self.step.is_multiple_of(2) && is_due;
        self.step = (if wants_counters { self.step + 1 } else { (self.step | 1) + 1 }) % steps;
        let is_meant = |other| Some(other) == stream;
        let heads =
            self.per_stream(|other| (wants_counters && is_meant(other)).then(|| self.form(other)));
        let entries = Stream::ALL.map(|other| !wants_counters && is_meant(other));
        let wait = (self.quiet > steps).then_some(SHORT_WAIT);
        self.request(wait, heads, entries)
    }

    fn request(
        &self,
        wait: Option<Duration>,
        heads: PerStream<Option<Form>>,
        entries: PerStream<bool>,
    ) -> ReadRequest {
        let (cursors, count) = (self.cursors, self.batch.count());
        ReadRequest { cursors, count, wait, wants_time: true, heads, entries, is_asking: false }
    }

    fn per_stream<T>(&self, mut of: impl FnMut(Stream) -> Option<T>) -> PerStream<Option<T>> {
        Stream::ALL.map(|stream| self.streams.contains(&stream).then(|| of(stream)).flatten())
    }

    /// Returns the interval of small counters while reads wait.
    pub(super) fn shortest_interval(&self) -> Duration {
        counters::shortest_interval(self.bound())
    }

    fn due_in(&self, stream: Stream, is_reading: bool) -> Duration {
        self.spacing.due_in(stream, is_reading, self.bound())
    }

    fn bound(&self) -> Duration {
        self.revocations.as_ref().map_or(Duration::MAX, Revocations::shortest_bound)
    }

    fn form(&self, stream: Stream) -> Form {
        if self.is_narrow() { Form::Full } else { self.spacing.form(stream) }
    }
}

#[cfg(test)]
mod tests {
    use caracal_revocation_state::{Options, RevocationsWriter};
    use tokio::time::advance;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn read(planner: &mut ReadPlanner, had_entries: bool) {
        let request = planner.plan(PerStream::default(), Some(MILLI), true, false);
        planner.sent(&request);
        planner.read(had_entries);
    }

    #[tokio::test(start_paused = true)]
    async fn spaces_reads_only_while_entries_arrive() {
        let mut planner = ReadPlanner::new(Stream::ALL.to_vec());
        read(&mut planner, true);
        assert_eq!(planner.pause(), Duration::ZERO, "no interval is set");
        planner.read_every(20 * MILLI);
        assert_eq!(planner.pause(), 20 * MILLI);
        advance(15 * MILLI).await;
        assert_eq!(planner.pause(), 5 * MILLI);
        advance(15 * MILLI).await;
        assert_eq!(planner.pause(), Duration::ZERO, "the read took longer than the interval");
        read(&mut planner, false);
        assert_eq!(planner.pause(), Duration::ZERO, "no entry arrived");
    }

    #[tokio::test(start_paused = true)]
    async fn pause_is_never_longer_than_interval_of_counters() {
        let mut options = Options::default();
        options.deny_after = 400 * MILLI;
        let mut planner = ReadPlanner::new(Stream::ALL.to_vec());
        planner.bounded_by(RevocationsWriter::new(options).reader());
        planner.read_every(100 * MILLI);
        read(&mut planner, true);
        assert_eq!(planner.pause(), 50 * MILLI);
    }
}
