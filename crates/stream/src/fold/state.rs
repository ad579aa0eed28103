//! The state of the fold, and its queries.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Stream, StreamId};
use caracal_revocation_state::{Moment, Revocations, RevocationsWriter};

use crate::continuity::Source;
use crate::dead_letters::DeadLetters;
use crate::entry::PerStream;
use crate::metrics::StreamMetrics;
use crate::proof::Proof;
use crate::receipts::Progress;
use crate::repeat_limiter::RepeatLimiter;
use crate::signature_health::SignatureHealth;
use crate::snapshot::{Position, RestoredSnapshot};
use crate::view_age::Reporter;

use super::replayed::Applied;
use super::tallies::Tallies;
use super::track::{NEVER, Recuts, Throttles, Track};

/// The shortest time between two invalidations of all zones for re-cut messages.
const SHORTEST_COVER: Duration = Duration::from_secs(1);

/// All data that reading the log changes.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(super) writer: Arc<RevocationsWriter>,
    pub(super) keys: KeyRing,
    pub(super) metrics: Arc<StreamMetrics>,
    pub(super) dead_letters: DeadLetters,
    pub(super) progress: Option<Arc<Progress>>,
    /// The position in the snapshot of an earlier process.
    pub(super) restored: Option<RestoredSnapshot>,
    /// The server on which at least one of the streams must exist, for the log. `None` if all may
    /// be missing.
    pub(super) required_on: Option<Box<str>>,
    /// `true` if at least one of the streams has existed since this process began to read.
    pub(super) has_seen_streams: bool,
    /// The progress in each stream. `None` until the first answer reports the server's time, which
    /// decides where the replay starts.
    pub(super) tracks: Option<PerStream<Track>>,
    /// The first source is for all streams. If each stream may be on another server, each has its
    /// own.
    pub(super) sources: PerStream<Source>,
    pub(super) is_split: bool,
    pub(super) signatures: SignatureHealth,
    /// `true` once the history was read to its end and accepted.
    pub(super) is_ready: bool,
    pub(super) throttles: Throttles,
    pub(super) tallies: Tallies,
    pub(super) applied: Applied,
    /// For each stream about keys or policies: re-cut messages for which the zones were not
    /// invalidated yet.
    pub(super) recuts: PerStream<Recuts>,
    /// `true` if the log has reported that the state is full.
    pub(super) was_full: bool,
    /// The time of the last sweep for expired entries.
    pub(super) swept: Option<Moment>,
}

impl Fold {
    pub(crate) fn new(
        writer: Arc<RevocationsWriter>,
        keys: KeyRing,
        mut dead_letters: DeadLetters,
    ) -> Self {
        let metrics = Arc::new(StreamMetrics::register());
        // Half of the bound, so that a hidden message takes effect within it.
        let longest = writer.options().deny_after / 2;
        let recuts = PerStream::default().map(|()| Recuts {
            limiter: RepeatLimiter::between(SHORTEST_COVER, longest),
            are_waiting: false,
        });
        if !keys.verifies() {
            dead_letters.release();
        }
        let tallies = Tallies::new(&keys);
        Self {
            writer,
            keys,
            metrics,
            dead_letters,
            progress: None,
            restored: None,
            required_on: None,
            has_seen_streams: false,
            tracks: None,
            sources: PerStream::default(),
            is_split: false,
            signatures: SignatureHealth::default(),
            is_ready: false,
            throttles: Throttles::default(),
            tallies,
            applied: Applied::default(),
            recuts,
            was_full: false,
            swept: None,
        }
    }

    /// Reports the position to `progress` too, for receipts.
    pub(crate) fn with_progress(self, progress: Option<Arc<Progress>>) -> Self {
        Self { progress, ..self }
    }

    /// Requires at least one of the streams to exist on this server: without any, the state is not
    /// ready. The log names the server.
    pub(crate) fn requiring_streams(self, on: Option<Box<str>>) -> Self {
        Self { required_on: on, ..self }
    }

    /// Configures whether each stream may be on another server, and so is read by itself.
    pub(crate) fn split(self, is_split: bool) -> Self {
        Self { is_split, ..self }
    }

    /// Continues the counting of an earlier process, so that trimming entries which that process
    /// read is no gap. Strict mode does not, because losses on the server in between cannot be
    /// detected.
    pub(crate) fn resume(&mut self, restored: Option<RestoredSnapshot>) {
        if restored.is_some_and(|restored| restored.key_is_proven) {
            self.signatures.prove_key();
            self.dead_letters.release();
        }
        self.restored = restored.filter(|_| !self.writer.options().strict);
    }

    /// Returns the position of the reading. Returns `None` while history is read, while it is not
    /// accepted, and while the state is full.
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

    /// Returns a reporter of the view's age that runs independently of the reading.
    pub(crate) fn reporter(&self) -> Reporter {
        Reporter { metrics: Arc::clone(&self.metrics), revocations: self.writer.reader() }
    }

    pub(crate) fn revocations(&self) -> &Revocations {
        &self.writer
    }

    pub(crate) fn writer(&self) -> &RevocationsWriter {
        &self.writer
    }

    /// Returns the cursor of each stream. The first call starts the replay at `server_time` minus
    /// the memory of the state.
    pub(crate) fn cursors(&mut self, server_time: Duration) -> PerStream<StreamId> {
        let window = self.writer.options().memory;
        let window = server_time.saturating_sub(window).as_millis();
        let window = StreamId::new(u64::try_from(window).unwrap_or(u64::MAX), 0);
        let tracks = self.tracks.get_or_insert_with(|| {
            Stream::ALL.map(|stream| {
                let at = self.restored.as_ref().and_then(|all| all.tracks.get(stream.index()));
                Track::new(at.map_or(Proof::since(window), |track| Proof::resumed(window, track)))
            })
        });
        tracks.each_ref().map(|track| track.proof.cursor())
    }

    /// Returns `true` if every stream was read to its end, so that the next read may wait for new
    /// entries.
    pub(crate) fn is_tailing(&self) -> bool {
        self.tracks
            .as_ref()
            .is_some_and(|tracks| tracks.iter().all(|track| track.proof.is_tailing()))
    }

    /// Returns `true` if the next read of these streams may wait for an entry.
    ///
    /// History is read without waiting, since another stream may have more of it. At intervals a
    /// read must not wait, to measure the round trip.
    pub(crate) fn may_wait(&mut self, streams: &[Stream], now: Moment) -> bool {
        let track = |stream: &Stream| self.tracks.as_ref().and_then(|all| all.get(stream.index()));
        let is_tailing = |track: &Track| track.proof.is_tailing();
        let source = streams.first().filter(|_| self.is_split).map_or(0, |stream| stream.index());
        streams.iter().all(|stream| track(stream).is_some_and(is_tailing))
            && self.sources.get_mut(source).is_some_and(|source| !source.clock.is_due(now))
    }

    /// Returns `true` if entries of the stream are new, and not part of its history.
    pub(super) fn is_live(&self, stream: Stream) -> bool {
        let track = self.tracks.as_ref().and_then(|tracks| tracks.get(stream.index()));
        self.is_ready && track.is_some_and(|track| track.proof.is_tailing())
    }

    /// Returns the send time of the oldest proof among the streams, if all have one.
    pub(super) fn oldest_proof(&self) -> Option<Moment> {
        let proofs = self.tracks.as_ref()?.iter().map(|track| track.as_of);
        let proofs = proofs.collect::<Option<Vec<Moment>>>()?;
        proofs.into_iter().reduce(Moment::earlier_of)
    }

    /// Returns the moment up to which the view counts as proven. In strict mode that is at most the
    /// publication of the first message without an accepted signature, since it may have been a
    /// revocation.
    pub(super) fn believed(&self, as_of: Moment) -> Moment {
        let failing = self.signatures.failing_since().filter(|_| self.writer.options().strict);
        // rule: strict-denies-after-bad-signature
        failing.filter(|since| since.monotonic < as_of.monotonic).unwrap_or(as_of)
    }

    /// Returns the tracks of these streams.
    pub(super) fn on(&mut self, streams: PerStream<bool>) -> impl Iterator<Item = &mut Track> {
        let tracks = self.tracks.iter_mut().flatten().zip(streams);
        tracks.filter_map(|(track, is_meant)| is_meant.then_some(track))
    }

    pub(super) fn track(&mut self, stream: Stream) -> Option<&mut Track> {
        self.tracks.as_mut()?.get_mut(stream.index())
    }

    pub(super) fn report(&self, now: Moment) {
        self.metrics.state(&self.writer, now);
        let [first, ..] = &self.sources;
        self.metrics.clock(first.clock.lead_seconds(now));
        self.metrics.replayed(self.replayed());
        self.write_report();
        if let (Some(progress), Some(tracks)) = (&self.progress, &self.tracks) {
            progress.reached(tracks.each_ref().map(|track| track.proof.cursor()));
        }
    }

    /// Returns the share of the history that was read, of the stream that is furthest behind, from
    /// 0 to 1.
    fn replayed(&self) -> f64 {
        let Some(tracks) = &self.tracks else { return 0.0 };
        tracks.iter().map(|track| track.proof.replayed()).fold(1.0, f64::min)
    }
}
