//! One reading of the log, folded into the state: verified, applied, counted, proven.
//!
//! No I/O and no clock of its own: the follower hands in what was read, and when.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{
    Event, KeyRing, KeySlot, Message, Rejection, RejectionKind, Stream, StreamId,
};
use caracal_revocation_state::{Moment, NotReady, Outage, Revocations};

use crate::continuity::{Doubt, Identity, Standing};
use crate::dead_letters::DeadLetters;
use crate::log::{Entry, LogError, PerStream, Reading};
use crate::metrics::{Reporter, StreamMetrics};
use crate::proof::{Hole, Passed, Proof};
use crate::receipts::Progress;
use crate::server_clock::ServerClock;
use crate::signing::Signing;
use crate::snapshot::{Position, Recalled};
use crate::source::Source;

/// Before every moment.
const NEVER: Moment = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };

/// How often a slice of the index is looked through for what expired.
const SWEEP_EVERY: Duration = Duration::from_millis(10);

/// Everything that reading the log changes.
#[derive(Debug)]
pub(crate) struct Fold {
    revocations: Revocations,
    keys: KeyRing,
    metrics: Arc<StreamMetrics>,
    dead_letters: DeadLetters,
    progress: Option<Arc<Progress>>,
    /// Where an earlier process stood.
    recalled: Option<Recalled>,
    /// None until the first answer tells the server's time, and so where to begin.
    tracks: Option<PerStream<Track>>,
    /// The first for all streams, or one for each, if each may be on another server.
    sources: PerStream<Source>,
    is_split: bool,
    signing: Signing,
    is_ready: bool,
    /// Whether it was said that the state is full.
    was_full: bool,
    /// When expired entries were last looked for.
    swept: Option<Moment>,
}

#[derive(Debug)]
struct Track {
    proof: Proof,
    /// When the last check that passed was sent.
    as_of: Option<Moment>,
    /// A hole that the answer at hand showed.
    broken: Option<Hole>,
    /// It is to be read again, although no hole was shown.
    is_doubted: bool,
    /// Whether the server cannot show that nothing was lost before the replay.
    is_young: bool,
}

impl Fold {
    pub(crate) fn new(revocations: Revocations, keys: KeyRing, dead_letters: DeadLetters) -> Self {
        let metrics = Arc::new(StreamMetrics::register());
        Self {
            revocations,
            keys,
            metrics,
            dead_letters,
            progress: None,
            recalled: None,
            tracks: None,
            sources: PerStream::default(),
            is_split: false,
            signing: Signing::default(),
            is_ready: false,
            was_full: false,
            swept: None,
        }
    }

    /// Also tells how far it is.
    pub(crate) fn with_progress(self, progress: Option<Arc<Progress>>) -> Self {
        Self { progress, ..self }
    }

    /// Every stream may be on a server of its own, and is read by itself.
    pub(crate) fn split(self, is_split: bool) -> Self {
        Self { is_split, ..self }
    }

    /// Reads on where an earlier process stood. In strict mode everything is read again: what the
    /// server may have lost in between, nobody can show.
    pub(crate) fn resume(&mut self, recalled: Option<Recalled>) {
        self.recalled = recalled.filter(|_| !self.revocations.options().strict);
    }

    /// Where the reading stands: nothing while history is read, what is said cannot be believed,
    /// or not all of it was remembered.
    pub(crate) fn position(&self) -> Option<Position> {
        let tracks = self.tracks.as_ref()?;
        let as_of = self.oldest_proof().filter(|as_of| *as_of != NEVER)?;
        if !self.is_ready || self.revocations.is_full() {
            return None;
        }
        let mut position = Position { as_of, tracks: PerStream::default() };
        for (track, place) in tracks.iter().zip(&mut position.tracks) {
            *place = track.proof.standing()?;
        }
        Some(position)
    }

    /// Goes on telling how old the view is, whatever the reading is waiting for.
    pub(crate) fn reporter(&self) -> Reporter {
        Reporter { metrics: Arc::clone(&self.metrics), revocations: self.revocations.clone() }
    }

    pub(crate) const fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// After which entry to read on in each stream, given the server's time at the first read.
    pub(crate) fn cursors(&mut self, server_time: Duration) -> PerStream<StreamId> {
        let window = self.revocations.options().memory;
        let window = server_time.saturating_sub(window).as_millis();
        let window = StreamId::new(u64::try_from(window).unwrap_or(u64::MAX), 0);
        let tracks = self.tracks.get_or_insert_with(|| {
            let as_of = self.recalled.and_then(|recalled| recalled.as_of);
            Stream::ALL.map(|stream| {
                let at = self.recalled.as_ref().and_then(|all| all.tracks.get(stream.index()));
                let proof = at.map_or(Proof::since(window), |track| Proof::resumed(window, track));
                Track { proof, as_of, broken: None, is_doubted: false, is_young: false }
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
            self.meet(identity, sent, source, streams)?;
        }
        let server_time = reading.server_time;
        let server_clock = self.observe(source, server_time, sent, now);
        let was_tailing = self.is_tailing();
        let received = Received { now, server_time, server_clock };
        // What an answer holds for that nobody knows the time of confirms nothing.
        let as_of = reading.as_of.moment(sent).unwrap_or(NEVER);
        for (stream, head) in Stream::ALL.into_iter().zip(reading.heads) {
            if let Some(head) = head {
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
        self.sweep(now);
        self.mind_the_room(server_time);
        self.confirm();
        self.revocations.set_signatures_fail(self.signing.failing_since());
        self.report(now);
        Ok(())
    }

    /// Takes in what the clock of a source says.
    fn observe(
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

    /// Takes in who it is that answers for these streams.
    fn meet(
        &mut self,
        identity: &Identity,
        sent: Moment,
        source: usize,
        streams: PerStream<bool>,
    ) -> Result<(), LogError> {
        let Some(source) = self.sources.get_mut(source) else { return Ok(()) };
        let (is_another, standing) = source.meet(identity, sent);
        // It may lack entries that were read before they were proven, for all that it can show.
        if is_another {
            self.on(streams).for_each(|track| track.is_doubted = true);
        }
        match standing {
            Standing::TookOver if self.revocations.options().strict => {
                self.doubt(Doubt::Failover, streams);
            }
            Standing::Sound | Standing::Moved => {}
            // Nobody can tell what the one before acknowledged in its last moments: but a second
            // source, which is cheap to ask.
            Standing::TookOver => self.revocations.suspect_loss(),
            Standing::Behind => return Err(LogError::Behind),
            Standing::Doubtful(doubt) => self.doubt(doubt, streams),
        }
        Ok(())
    }

    /// The tracks of these streams.
    fn on(&mut self, streams: PerStream<bool>) -> impl Iterator<Item = &mut Track> {
        let tracks = self.tracks.iter_mut().flatten().zip(streams);
        tracks.filter_map(|(track, is_meant)| is_meant.then_some(track))
    }

    /// The server may have lost what nobody here has read.
    fn doubt(&mut self, doubt: Doubt, streams: PerStream<bool>) {
        self.metrics.doubt(doubt);
        self.revocations.suspect_loss();
        let strict = self.revocations.options().strict;
        tracing::warn!(
            cause = doubt.label(),
            strict,
            "Redis was restarted or replaced, and may have lost messages that it had acknowledged: \
             it keeps them with appendfsync always, or WAIT on replicas; a baseline closes the gap"
        );
        for track in self.on(streams) {
            track.is_doubted = true;
            track.broken = strict.then_some(Hole::Suspected);
        }
    }

    /// Counts a lost connection, and goes on telling how old the view is.
    pub(crate) fn lost_connection(&self, cause: Outage) {
        self.metrics.reconnects.increment(1);
        self.metrics.read_error(cause);
        if !self.is_tailing() {
            self.metrics.replay_errors.increment(1);
        }
        self.report(self.revocations.now());
    }

    fn report(&self, now: Moment) {
        self.metrics.state(&self.revocations, now);
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

    fn entry(&mut self, entry: &Entry, received: Received) {
        let span = tracing::debug_span!("apply", stream = %entry.stream, id = %entry.id);
        let _in_span = span.enter();
        self.metrics.messages.increment(1);
        let fields = entry.fields.borrowed();
        match self.keys.verify(&Message::new(entry.stream, &fields)) {
            Ok(event) => self.apply(entry, &event, received),
            Err(rejection) => self.reject(entry, rejection, received),
        }
    }

    fn apply(&mut self, entry: &Entry, event: &Event<'_>, received: Received) {
        if event.key() != KeySlot::Unsigned {
            self.signing.verified(entry.id);
        }
        self.metrics.verified(event.key());
        let published = received.now.earlier_by(received.since(entry.id));
        self.revocations.apply_published(event, published, received.now);
        if event.is_recut() {
            tracing::warn!(
                stream = %entry.stream, id = %entry.id,
                "a signed message was re-cut by someone who can write to Redis: its clean parts \
                 are applied, what it hid may be lost"
            );
            self.dead_letters.put(entry, "re-cut: its clean parts were acted on");
            self.cover_recut(entry, received);
        }
        // While history is replayed, the age of a message says nothing about propagation.
        if self.is_live(entry.stream) {
            let lag = received.since(entry.id);
            self.metrics.lag(event, entry.id, lag);
            if let Some(progress) = &self.progress {
                progress.applied(entry.stream, entry.id, lag);
            }
        }
    }

    /// Whether what is read of the stream is new, and not its history.
    fn is_live(&self, stream: Stream) -> bool {
        let track = self.tracks.as_ref().and_then(|tracks| tracks.get(stream.index()));
        self.is_ready
            && track.is_some_and(|track| track.proof.is_tailing() && !track.proof.is_rereading())
    }

    fn reject(&mut self, entry: &Entry, rejection: Rejection, received: Received) {
        self.metrics.rejected(rejection.kind());
        self.dead_letters.put(entry, rejection);
        if rejection.was_signed() {
            tracing::warn!(stream = %entry.stream, id = %entry.id, %rejection, "message refused");
        } else {
            // Whoever can write to Redis can make any number of these; the counters tell how many.
            tracing::debug!(stream = %entry.stream, id = %entry.id, %rejection, "message refused");
        }
        match rejection.kind() {
            RejectionKind::Signature => self.signing.refused(entry.id, received.now),
            RejectionKind::Ambiguous if rejection.was_signed() => {
                self.cover_recut(entry, received);
            }
            _ => {}
        }
    }

    /// What a re-cut message hid was published before it.
    fn cover_recut(&self, entry: &Entry, received: Received) {
        let published = Duration::from_millis(entry.id.ms).min(received.server_time);
        self.cover(entry.stream, published);
    }

    /// Covers what may be missing from a stream up to `lost_up_to` by the server's clock.
    fn cover(&self, stream: Stream, lost_up_to: Duration) {
        match stream {
            Stream::KeysInvalidate => self.revocations.forget_all_keys(),
            Stream::PolicyInvalidate => self.revocations.reload_all_policies(),
            Stream::SessionsRevoke | Stream::DelegationsInvalidate | Stream::AgentsLifecycle => {
                let second =
                    lost_up_to.saturating_add(self.revocations.options().horizon_margin).as_secs();
                self.revocations.raise_horizon(i64::try_from(second).unwrap_or(i64::MAX));
            }
        }
    }

    /// Moves one stream's proof on by a step.
    fn prove(
        &mut self,
        stream: Stream,
        step: impl FnOnce(&mut Proof) -> Result<Option<Passed>, Hole>,
    ) {
        let Some(track) = self.tracks.as_mut().and_then(|all| all.get_mut(stream.index())) else {
            return;
        };
        if track.broken.is_some() || track.is_doubted {
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
                let unshown = unshown_up_to.filter(|_| self.revocations.options().strict);
                if let Some(lost_up_to) = lost_up_to {
                    tracing::warn!(
                        %stream,
                        up_to_ms = lost_up_to.as_millis(),
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

    /// Begins to read again each stream in which a hole was found, or that another server may
    /// have gone on with.
    ///
    /// Not before the end of the answer: what else it holds of such a stream was applied, and
    /// proves nothing.
    fn restart_broken(&mut self) {
        for (stream, track) in Stream::ALL.into_iter().zip(self.tracks.iter_mut().flatten()) {
            if std::mem::take(&mut track.is_doubted) {
                track.proof.reread();
            }
            let Some(hole) = track.broken.take() else { continue };
            track.proof.restart();
            self.metrics.hole(hole);
            tracing::error!(
                %stream, cause = hole.label(),
                "messages were lost: the stream was trimmed past the cursor, deleted from, \
                 flushed or made anew, or may have been; reading it again"
            );
        }
    }

    /// Forgets some of what expired: entries last for minutes, and answers may come every few
    /// microseconds. While there is no room, with each answer.
    fn sweep(&mut self, now: Moment) {
        let elapsed = self.swept.map(|swept| now.monotonic.saturating_sub(swept.monotonic));
        if self.revocations.is_full() || elapsed.is_none_or(|elapsed| elapsed >= SWEEP_EVERY) {
            self.swept = Some(now);
            self.revocations.sweep_slice(now);
        }
    }

    /// Says when more is revoked than may be remembered, and goes on when there is room again.
    fn mind_the_room(&mut self, server_time: Duration) {
        let options = self.revocations.options();
        let max_entries = options.max_entries;
        let second = server_time.saturating_add(options.horizon_margin).as_secs();
        if self.revocations.reopen(i64::try_from(second).unwrap_or(i64::MAX)) {
            tracing::warn!(
                horizon = self.revocations.horizon(),
                max_entries,
                "there is room again for what is revoked: tokens made up to now are refused, \
                 refreshed ones pass"
            );
        }
        let is_full = self.revocations.is_full();
        if is_full && !self.was_full {
            self.metrics.full.increment(1);
            tracing::error!(
                max_entries,
                "more is revoked than may be remembered: every verdict is unknown, but for what is \
                 known to be revoked, until entries expire; Options::max_entries is the bound"
            );
        }
        self.was_full = is_full;
    }

    /// The state is as fresh as the stream whose proof is oldest.
    fn confirm(&mut self) {
        let Some(as_of) = self.oldest_proof() else { return };
        if self.signing.none_verified() && self.keys.verifies() {
            self.withhold();
        } else if as_of != NEVER {
            self.revocations.confirm(as_of);
            for (source, track) in self.sources.iter_mut().zip(self.tracks.iter().flatten()) {
                let own = track.as_of.filter(|_| self.is_split);
                source.prove(own.unwrap_or(as_of));
            }
            if !std::mem::replace(&mut self.is_ready, true) {
                self.announce();
            }
        }
    }

    /// When the last check of the stream was sent whose proof is oldest, if all have one.
    fn oldest_proof(&self) -> Option<Moment> {
        let proofs = self.tracks.as_ref()?.iter().map(|track| track.as_of);
        let proofs = proofs.collect::<Option<Vec<Moment>>>()?;
        proofs.into_iter().min_by_key(|as_of| as_of.monotonic)
    }

    /// Nothing that arrived could be believed: more likely a wrong key than a forger.
    fn withhold(&mut self) {
        if self.revocations.withhold(NotReady::NoSignatureVerifies) {
            tracing::error!(
                setting = "STREAMS_HMAC_KEY",
                "messages arrive and none is signed with an accepted key: not ready, every \
                 verdict is unknown; set STREAMS_HMAC_KEY (or STREAMS_HMAC_KEY_PREVIOUS) to the \
                 producers' key"
            );
        }
    }

    fn announce(&self) {
        let unseen: Vec<_> = Stream::ALL
            .into_iter()
            .zip(self.tracks.iter().flatten())
            .filter(|(_, track)| track.proof.is_unseen())
            .map(|(stream, _)| stream.name())
            .collect();
        if !unseen.is_empty() {
            tracing::warn!(
                streams = unseen.join(" "),
                "these streams do not exist yet and count as empty: provision them, and check \
                 that this is the right Redis"
            );
        }
        let young: Vec<_> = Stream::ALL
            .into_iter()
            .zip(self.tracks.iter().flatten())
            .filter(|(_, track)| track.is_young && !track.proof.is_unseen())
            .map(|(stream, _)| stream.name())
            .collect();
        tracing::info!(
            young = young.join(" "),
            entries = self.revocations.entries(),
            horizon = self.revocations.horizon(),
            "history replayed and proven complete as far as the server can show (a young stream might \
             have been made anew before this start): ready"
        );
        if self.revocations.options().strict {
            tracing::warn!(
                "strict: what the server had lost before this start nobody can show, so tokens made \
                 before it are refused, and for two minutes newer ones, unless a baseline is read"
            );
        }
    }
}

/// When an answer was received, by both machines' clocks.
#[derive(Clone, Copy)]
struct Received {
    now: Moment,
    server_time: Duration,
    server_clock: ServerClock,
}

impl Received {
    /// How long before this the entry was published.
    fn since(self, id: StreamId) -> Duration {
        self.server_clock.age(id, self.now)
    }
}
