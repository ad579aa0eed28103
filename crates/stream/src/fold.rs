//! One reading of the log, folded into the state: verified, applied, counted, proven.
//!
//! No I/O and no clock of its own: the follower hands in what was read, and when.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Stream, StreamId};
use caracal_revocation_state::{Moment, Outage, Revocations, RevocationsWriter};

use crate::continuity::Source;
use crate::dead_letters::DeadLetters;
use crate::entry::{Head, PerStream};
use crate::log::Reading;
use crate::log_error::LogError;
use crate::metrics::StreamMetrics;
use crate::proof::{Hole, Proof};
use crate::receipts::Progress;
use crate::repeat_limiter::RepeatLimiter;
use crate::signature_health::SignatureHealth;
use crate::snapshot::{Position, Recalled};
use crate::view_age::Reporter;
use caracal_revocation_state::internal::Throttle;

use messages::Received;
use replayed::Applied;

mod freshness;
mod messages;
mod proving;
mod replayed;
mod server_identity;

/// Before every moment.
const NEVER: Moment = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };

/// Between two times at which the caches of every zone become stale for re-cut messages, at least.
const SHORTEST_COVER: Duration = Duration::from_secs(1);

/// Everything that reading the log changes.
#[derive(Debug)]
pub(crate) struct Fold {
    writer: Arc<RevocationsWriter>,
    keys: KeyRing,
    metrics: Arc<StreamMetrics>,
    dead_letters: DeadLetters,
    progress: Option<Arc<Progress>>,
    /// Where an earlier process stood.
    recalled: Option<Recalled>,
    /// The server on which at least one of the streams must exist, for the log; none where they may
    /// all be missing.
    required_on: Option<Box<str>>,
    /// At least one of the streams has been there since this process began to read.
    has_seen_streams: bool,
    /// None until the first answer tells the server's time, and so where to begin.
    tracks: Option<PerStream<Track>>,
    /// The first for all streams, or one for each, if each may be on another server.
    sources: PerStream<Source>,
    is_split: bool,
    signatures: SignatureHealth,
    /// The history was read to its end and believed, once.
    is_ready: bool,
    throttles: Throttles,
    applied: Applied,
    /// Of each stream about keys or policies, whether re-cut messages are still to be covered.
    recuts: PerStream<Recuts>,
    /// Whether it was said that the state is full.
    was_full: bool,
    /// When expired entries were last looked for.
    swept: Option<Moment>,
}

/// One for each line in the log that others than this process can repeat.
#[derive(Debug, Default)]
struct Throttles {
    refused: Throttle,
    recut: Throttle,
    too_large: Throttle,
    suspicion: Throttle,
    lost: PerStream<Throttle>,
    uncertain: PerStream<Throttle>,
}

/// Re-cut messages of one stream: what they hid makes what is cached of every zone stale.
#[derive(Debug)]
struct Recuts {
    limiter: RepeatLimiter,
    are_waiting: bool,
}

#[derive(Debug)]
struct Track {
    proof: Proof,
    /// When the last check that passed was sent.
    as_of: Option<Moment>,
    /// A hole that this answer showed.
    broken: Option<Hole>,
    /// It is to be read again, although no hole was shown.
    must_reread: bool,
    /// Whether the server cannot show that nothing was lost before the replay.
    is_young: bool,
    /// The newest message that was reported: counted, logged, and dead-lettered if it was rejected.
    reported: StreamId,
}

impl Track {
    const fn new(proof: Proof) -> Self {
        Self {
            proof,
            as_of: None,
            broken: None,
            must_reread: false,
            is_young: false,
            reported: StreamId::ZERO,
        }
    }

    /// Returns `true` the first time that a message is read: a stream may be read again.
    fn is_first_reading(&mut self, id: StreamId) -> bool {
        let is_first = id > self.reported;
        self.reported = self.reported.max(id);
        is_first
    }
}

impl Fold {
    pub(crate) fn new(
        writer: Arc<RevocationsWriter>,
        keys: KeyRing,
        mut dead_letters: DeadLetters,
    ) -> Self {
        let metrics = Arc::new(StreamMetrics::register());
        // Well within the time in which a message must be heeded.
        let longest = writer.options().deny_after / 2;
        let recuts = PerStream::default().map(|()| Recuts {
            limiter: RepeatLimiter::between(SHORTEST_COVER, longest),
            are_waiting: false,
        });
        if !keys.verifies() {
            dead_letters.release();
        }
        Self {
            writer,
            keys,
            metrics,
            dead_letters,
            progress: None,
            recalled: None,
            required_on: None,
            has_seen_streams: false,
            tracks: None,
            sources: PerStream::default(),
            is_split: false,
            signatures: SignatureHealth::default(),
            is_ready: false,
            throttles: Throttles::default(),
            applied: Applied::default(),
            recuts,
            was_full: false,
            swept: None,
        }
    }

    /// Also tells how far it is.
    pub(crate) fn with_progress(self, progress: Option<Arc<Progress>>) -> Self {
        Self { progress, ..self }
    }

    /// Is not ready while this server, which a log may name, has none of the streams.
    pub(crate) fn requiring_streams(self, on: Option<Box<str>>) -> Self {
        Self { required_on: on, ..self }
    }

    /// Every stream may be on a server of its own, and is read by itself.
    pub(crate) fn split(self, is_split: bool) -> Self {
        Self { is_split, ..self }
    }

    /// Counts on where an earlier process stood, so that nothing is missing that was trimmed since
    /// it was read. Not in strict mode: nothing shows what the server may have lost in between.
    pub(crate) fn resume(&mut self, recalled: Option<Recalled>) {
        if recalled.is_some_and(|recalled| recalled.key_is_proven) {
            self.signatures.prove_key();
            self.dead_letters.release();
        }
        self.recalled = recalled.filter(|_| !self.writer.options().strict);
    }

    /// Where the reading stands: nothing while history is read, what is said cannot be believed,
    /// or not all of it was remembered.
    pub(crate) fn position(&self) -> Option<Position> {
        let tracks = self.tracks.as_ref()?;
        let as_of = self.oldest_proof().filter(|as_of| *as_of != NEVER)?;
        if !self.is_ready || self.writer.is_full() {
            return None;
        }
        let mut position = Position {
            as_of: self.believed(as_of),
            key_is_proven: self.signatures.key_is_proven(),
            tracks: PerStream::default(),
        };
        for (track, place) in tracks.iter().zip(&mut position.tracks) {
            *place = track.proof.checkpoint()?;
        }
        Some(position)
    }

    /// Goes on telling how old the view is, whatever the reading is waiting for.
    pub(crate) fn reporter(&self) -> Reporter {
        Reporter { metrics: Arc::clone(&self.metrics), revocations: self.writer.reader() }
    }

    pub(crate) fn revocations(&self) -> &Revocations {
        &self.writer
    }

    pub(crate) fn writer(&self) -> &RevocationsWriter {
        &self.writer
    }

    /// After which entry to read on in each stream, given the server's time at the first read.
    pub(crate) fn cursors(&mut self, server_time: Duration) -> PerStream<StreamId> {
        let window = self.writer.options().memory;
        let window = server_time.saturating_sub(window).as_millis();
        let window = StreamId::new(u64::try_from(window).unwrap_or(u64::MAX), 0);
        let tracks = self.tracks.get_or_insert_with(|| {
            Stream::ALL.map(|stream| {
                let at = self.recalled.as_ref().and_then(|all| all.tracks.get(stream.index()));
                Track::new(at.map_or(Proof::since(window), |track| Proof::resumed(window, track)))
            })
        });
        tracks.each_ref().map(|track| track.proof.cursor())
    }

    /// Whether every stream was read to its end, and new entries may be waited for.
    pub(crate) fn is_tailing(&self) -> bool {
        self.tracks
            .as_ref()
            .is_some_and(|tracks| tracks.iter().all(|track| track.proof.is_tailing()))
    }

    /// Whether the read about to be sent, of these streams, may wait for the next entry.
    ///
    /// History is read without waiting: some other of them may still have more of it. And now and
    /// then a read is answered at once, so that the way to the server and back is known.
    pub(crate) fn may_wait(&mut self, streams: &[Stream], now: Moment) -> bool {
        let track = |stream: &Stream| self.tracks.as_ref().and_then(|all| all.get(stream.index()));
        let is_tailing = |track: &Track| track.proof.is_tailing();
        let source = streams.first().filter(|_| self.is_split).map_or(0, |stream| stream.index());
        streams.iter().all(|stream| track(stream).is_some_and(is_tailing))
            && self.sources.get_mut(source).is_some_and(|source| !source.clock.is_due(now))
    }

    /// Applies the answer to a read that was sent at `sent` and is here `now`.
    ///
    /// An error means that the answer is not to be used: nothing of it was.
    pub(crate) fn absorb(
        &mut self,
        reading: &Reading,
        sent: Moment,
        now: Moment,
    ) -> Result<(), LogError> {
        let streams = reading.streams;
        let source =
            if self.is_split { streams.iter().position(|read| *read).unwrap_or(0) } else { 0 };
        if let Some(identity) = &reading.identity {
            self.observe_identity(identity, sent, source, streams)?;
        }
        let server_time = reading.server_time;
        let server_clock = self.observe_clock(source, server_time, sent, now);
        let was_tailing = self.is_tailing();
        let received = Received { now, server_time, server_clock };
        // What an answer holds for that nobody knows the time of confirms nothing.
        let as_of = reading.as_of.moment(sent).unwrap_or(NEVER);
        for (stream, head) in Stream::ALL.into_iter().zip(reading.heads) {
            if let Some(head) = head {
                self.has_seen_streams |= head != Head::Missing;
                if let Some(track) = self.track(stream) {
                    // The server may give ids beyond that one to other messages.
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

    /// Counts an attempt that failed, and goes on telling how old the view is. With `broke_off`
    /// the attempt before it had succeeded.
    pub(crate) fn failed(&mut self, cause: Outage, broke_off: bool) {
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

    fn track(&mut self, stream: Stream) -> Option<&mut Track> {
        self.tracks.as_mut()?.get_mut(stream.index())
    }

    fn report(&self, now: Moment) {
        self.metrics.state(&self.writer, now);
        let [first, ..] = &self.sources;
        self.metrics.clock(first.clock.lead_seconds(now));
        self.metrics.replayed(self.replayed());
        if let (Some(progress), Some(tracks)) = (&self.progress, &self.tracks) {
            progress.reached(tracks.each_ref().map(|track| track.proof.cursor()));
        }
    }

    /// How much of the history was read, of the stream that is furthest behind: 0 to 1.
    fn replayed(&self) -> f64 {
        let Some(tracks) = &self.tracks else { return 0.0 };
        tracks.iter().map(|track| track.proof.replayed()).fold(1.0, f64::min)
    }
}

#[cfg(test)]
mod tests;
