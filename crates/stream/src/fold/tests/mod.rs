//! Tests with constructed readings, on a manual clock.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{Key, KeyRing, Stream, StreamId, sign};
use caracal_revocation_state::{
    Checks, Claims, Degraded, LossSuspicion, ManualClock, Moment, NotReady, Options,
    RevocationsWriter, UnknownCause, Verdict,
};

use super::Fold;
use crate::dead_letters::{self, Queue};
use crate::entry::{Counters, Entry, Head, PerStream};
use crate::identity::Identity;
use crate::log::{AsOf, Reading};
use crate::log_error::LogError;
use crate::logged;
use crate::snapshot::{Checkpoint, RestoredSnapshot};

mod delays;
mod losses;
mod reports;
mod room;
mod servers;

const STREAM: Stream = Stream::SessionsRevoke;
const SECOND: Duration = Duration::from_secs(1);

fn key(digits: &str) -> Key {
    Key::from_hex(&digits.repeat(32)).unwrap()
}

/// A stream on the server, with its counters.
#[derive(Clone, Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    added: u64,
}

impl Kept {
    fn head(&self) -> Head {
        let at = |entry: Option<&Entry>| entry.map_or(StreamId::ZERO, |entry| entry.id);
        Head::Present(Counters {
            last_generated: at(self.entries.last()),
            entries_added: self.added,
            first: at(self.entries.first()),
            max_deleted: StreamId::ZERO,
        })
    }
}

/// A server, and the fold that follows it.
struct Scene {
    fold: Fold,
    queue: Queue,
    clock: Arc<ManualClock>,
    streams: PerStream<Option<Kept>>,
    /// The streams that a read asks for.
    reads: PerStream<bool>,
    identity: Option<Identity>,
    /// The lead of the server's clock.
    lead: Duration,
    /// `true` if reads ask for entries only, as they do between two proofs.
    reads_only_entries: bool,
}

impl Scene {
    fn new(options: Options) -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.advance(100_000 * SECOND);
        let writer = Arc::new(RevocationsWriter::with_clock(options, clock.clone()));
        let (dead_letters, queue) = dead_letters::queue();
        let fold = Fold::new(writer, KeyRing::new(key("1a")), dead_letters);
        let streams = PerStream::default().map(|_: ()| Some(Kept::default()));
        Self {
            fold,
            queue,
            clock,
            streams,
            reads: [true; Stream::ALL.len()],
            identity: None,
            lead: Duration::ZERO,
            reads_only_entries: false,
        }
    }

    fn requiring_streams(mut self) -> Self {
        self.fold = self.fold.requiring_streams(Some("here".into()));
        self
    }

    fn without_streams(mut self) -> Self {
        self.streams = PerStream::default();
        self
    }

    /// Begins with the snapshot of a process that had read the first `read` entries.
    fn recalling(mut self, read: usize, key_is_proven: bool) -> Self {
        let cursor = self.entries()[..read].last().map_or(StreamId::ZERO, |entry| entry.id);
        let mut tracks = [Checkpoint::new(StreamId::ZERO, 0, 0, true); Stream::ALL.len()];
        tracks[STREAM.index()] = Checkpoint::new(cursor, 0, read as u64, true);
        let as_of = self.now().earlier_by(SECOND);
        // Confirms the position, as the follower does.
        self.fold.writer.confirm(as_of);
        self.fold.resume(Some(RestoredSnapshot { tracks, as_of: Some(as_of), key_is_proven }));
        self
    }

    fn now(&self) -> Moment {
        self.fold.writer.now()
    }

    fn server_time(&self) -> Duration {
        self.now().wall + self.lead
    }

    fn entries(&mut self) -> &mut Vec<Entry> {
        &mut self.streams[STREAM.index()].get_or_insert_default().entries
    }

    /// Publishes a revocation now.
    fn publish(&mut self, session: &str, key: &Key) {
        let id = self.next_id(STREAM);
        self.publish_at(id, session, key);
    }

    fn publish_at(&mut self, id: StreamId, session: &str, key: &Key) {
        let mut fields = vec![("session_id".to_owned(), session.to_owned())];
        sign(key, STREAM, &mut fields);
        self.add(STREAM, id, fields);
    }

    fn next_id(&mut self, stream: Stream) -> StreamId {
        let now = u64::try_from(self.server_time().as_millis()).unwrap();
        let kept = self.streams[stream.index()].get_or_insert_default();
        let last = kept.entries.last().map_or(StreamId::ZERO, |entry| entry.id);
        StreamId::new(now, 0).max(StreamId::new(last.ms, last.seq + 1))
    }

    fn publish_fields(&mut self, stream: Stream, fields: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut fields: Vec<_> = fields.iter().map(owned).collect();
        sign(&key("1a"), stream, &mut fields);
        let id = self.next_id(stream);
        self.add(stream, id, fields);
    }

    /// Publishes a revocation that was re-cut: one field is hidden in the value of another.
    fn publish_recut(&mut self, session: &str) {
        self.publish_fields(STREAM, &[("session_id", session), ("edge_id", "un\nclean")]);
    }

    /// Publishes a message with a valid signature that names nothing to revoke.
    fn publish_malformed(&mut self) {
        self.publish_fields(STREAM, &[("zone_id", "z-1")]);
    }

    fn add(&mut self, stream: Stream, id: StreamId, fields: Vec<(String, String)>) {
        let fields =
            fields.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes()));
        let kept = self.streams[stream.index()].get_or_insert_default();
        kept.entries.push(Entry { stream, id, fields: fields.collect() });
        kept.added += 1;
    }

    /// Reads once, at most `count` entries.
    fn read_at_most(&mut self, count: usize) {
        self.read_sent_at(self.now(), count);
    }

    /// Reads once, with a request that was sent at this time. The server's clock says so, too.
    fn read_sent_at(&mut self, sent: Moment, count: usize) {
        self.try_read(sent, count).unwrap();
    }

    fn try_read(&mut self, sent: Moment, count: usize) -> Result<(), LogError> {
        let now = self.now();
        let cursors = self.fold.cursors(self.server_time());
        let mut entries = Vec::new();
        let mut drained = self.reads;
        for ((kept, cursor), drained) in self.streams.iter().zip(cursors).zip(&mut drained) {
            let Some(kept) = kept.as_ref().filter(|_| *drained) else { continue };
            let mut after = kept.entries.iter().filter(|entry| entry.id > cursor);
            entries.extend(after.by_ref().take(count).cloned());
            *drained = after.next().is_none();
        }
        let is_proof = !self.reads_only_entries;
        let head = |kept: &Option<Kept>| kept.as_ref().map_or(Head::Missing, Kept::head);
        let heads = Stream::ALL.map(|stream| {
            let is_asked = is_proof && self.reads[stream.index()];
            is_asked.then(|| head(&self.streams[stream.index()]))
        });
        let reading = Reading {
            server_time: is_proof.then_some(self.server_time()),
            as_of: AsOf::Sent,
            freshness_error: None,
            identity: self.identity.clone(),
            streams: self.reads,
            heads,
            entries,
            drained,
        };
        self.fold.absorb(&reading, sent, now)
    }

    fn read(&mut self) {
        self.read_at_most(1_000);
    }

    fn wait(&mut self, seconds: u32) {
        self.clock.advance(seconds * SECOND);
    }

    fn verdict(&self, session: &str) -> Verdict {
        // Issued now, and so after every gap in these tests.
        let issued = self.now().wall.as_secs().cast_signed();
        let claims = Claims::new(session, issued, issued + 900);
        self.fold.writer.decide(&claims, &Checks::default(), self.now())
    }

    fn is_admitted(&self, session: &str) -> bool {
        matches!(self.verdict(session), Verdict::Admitted(_))
    }

    fn is_revoked(&self, session: &str) -> bool {
        matches!(self.verdict(session), Verdict::Denied(_))
    }

    fn unready(&self) -> Option<UnknownCause> {
        self.fold.writer.readiness(self.now()).unready
    }

    fn is_degraded(&self) -> bool {
        let degraded = self.fold.writer.readiness(self.now()).degraded;
        degraded == Some(Degraded::SignaturesFail)
    }
}

const NO_SIGNATURE: Option<UnknownCause> =
    Some(UnknownCause::NotReady(NotReady::NoSignatureVerifies));
const NOT_PROVISIONED: Option<UnknownCause> =
    Some(UnknownCause::NotReady(NotReady::NotProvisioned));

#[test]
fn history_without_valid_signature_is_not_ready() {
    let mut scene = Scene::new(Options::default());
    for n in 0..3 {
        scene.publish(&format!("ar-{n}"), &key("2b"));
    }
    scene.read();
    scene.read();
    assert_eq!(scene.unready(), NO_SIGNATURE);
    assert!(!scene.is_degraded(), "not ready already covers it");
    assert_eq!(scene.queue.len(), 0, "the messages may be good");
    scene.publish("right", &key("1a"));
    scene.read();
    assert_eq!(scene.unready(), None);
    assert!(scene.is_revoked("right"));
    assert_eq!(scene.queue.len(), 3, "the key is right, so the messages are not");
}

#[test]
fn forged_message_after_empty_history_only_raises_alarm() {
    let mut scene = Scene::new(Options::default());
    scene.read();
    assert_eq!(scene.unready(), None);
    scene.publish("forged", &key("2b"));
    scene.read();
    scene.wait(3_600);
    scene.read();
    assert_eq!((scene.unready(), scene.is_degraded()), (None, true));
    assert!(scene.is_admitted("forged"));
    assert_eq!(scene.queue.len(), 0, "the key is not proven to be right");

    scene.publish("good", &key("1a"));
    scene.read();
    assert!(scene.is_revoked("good"));
    assert!(!scene.is_degraded());
    assert_eq!(scene.queue.len(), 1);
}

#[test]
fn logs_alarm_once_at_start_and_once_at_end() {
    const BEGIN: &str = "ERROR caracal_revocation_stream::fold::freshness: messages arrive that no";
    const END: &str =
        "INFO caracal_revocation_stream::fold::freshness: every message verifies again";
    logged::begin();
    let mut scene = Scene::new(Options::default());
    scene.publish("good", &key("1a"));
    scene.read();
    for _ in 0..50 {
        scene.publish("forged", &key("2b"));
        scene.wait(1);
        scene.publish("good", &key("1a"));
        scene.read();
        scene.wait(10);
        scene.read();
    }
    assert_eq!((logged::count(BEGIN), logged::count(END)), (1, 0));
    assert_eq!(logged::count("set STREAMS_HMAC_KEY to the producers' key"), 1, "the action");
    scene.publish("good", &key("1a"));
    for _ in 0..100 {
        scene.wait(1);
        scene.read();
    }
    assert_eq!((logged::count(BEGIN), logged::count(END)), (1, 1));
}

#[test]
fn repeated_messages_are_logged_once_a_minute_and_counted() {
    logged::begin();
    let mut scene = Scene::new(Options::default());
    scene.publish("good", &key("1a"));
    scene.read();
    for second in 0..60 {
        for n in 0..10 {
            scene.publish_recut(&format!("ar-{second}-{n}"));
            scene.publish_malformed();
        }
        scene.read();
        scene.wait(1);
    }
    let lines = [
        "WARN caracal_revocation_stream::fold::messages: a signed message was re-cut",
        "WARN caracal_revocation_stream::fold::messages: message rejected",
    ];
    assert_eq!(lines.map(logged::count), [1, 1]);
    scene.publish_recut("ar-last");
    scene.publish_malformed();
    scene.read();
    assert_eq!(lines.map(logged::count), [2, 2]);
    assert_eq!(logged::count("count=600"), 2);
}

#[test]
fn view_is_as_old_as_the_question() {
    let mut scene = Scene::new(Options::default());
    scene.read();
    let age = |scene: &Scene| scene.fold.writer.staleness(scene.now()).unwrap();
    assert_eq!(age(&scene), Duration::ZERO);
    scene.wait(30);
    let sent = scene.now();
    scene.wait(7);
    scene.read_sent_at(sent, 10);
    assert_eq!(age(&scene), 7 * SECOND, "a message may have come after the question");
    // A replica may answer for an earlier time than was already proven.
    scene.read_sent_at(sent.earlier_by(SECOND), 10);
    let position = scene.fold.position().unwrap();
    assert_eq!(position.as_of.monotonic, sent.monotonic, "a snapshot is no fresher, nor older");
}

const UUID: &str = "0198b0c2-7d10-7a11-8f00-000000000001";

#[test]
fn repeated_invalidation_invalidates_nothing_again() {
    let mut scene = Scene::new(Options::default());
    let streams = [Stream::KeysInvalidate, Stream::PolicyInvalidate];
    let generations = |scene: &Scene| {
        let zone = scene.fold.writer.zone("z-1");
        (zone.keys_generation, zone.policy_generation)
    };
    for _ in 0..10 {
        for stream in streams {
            scene.publish_fields(stream, &[("zone_id", "z-1"), ("outbox_id", UUID)]);
        }
        scene.read();
        assert_eq!(generations(&scene), (1, 1));
    }
    // A message without its own id may be another message with the same fields.
    for again in 2..5 {
        for stream in streams {
            scene.publish_fields(stream, &[("zone_id", "z-1")]);
        }
        scene.read();
        assert_eq!(generations(&scene), (again, again));
    }
    let other = UUID.replace("7d10", "7d11");
    for stream in streams {
        scene.publish_fields(stream, &[("zone_id", "z-1"), ("outbox_id", &other)]);
    }
    scene.read();
    assert_eq!(generations(&scene), (5, 5));
}

#[test]
fn remembers_the_last_4096_invalidations() {
    let mut scene = Scene::new(Options::default());
    let publish = |scene: &mut Scene, n: usize| {
        let id = format!("0198b0c2-7d10-7a11-8f00-{n:012}");
        scene.publish_fields(Stream::KeysInvalidate, &[("zone_id", "z-1"), ("outbox_id", &id)]);
    };
    (0..4_096).for_each(|n| publish(&mut scene, n));
    publish(&mut scene, 0);
    scene.read_at_most(5_000);
    assert_eq!(scene.fold.writer.zone("z-1").keys_generation, 4_096);
    publish(&mut scene, 4_096);
    publish(&mut scene, 0);
    scene.read();
    assert_eq!(scene.fold.writer.zone("z-1").keys_generation, 4_098, "the oldest is forgotten");
}

#[test]
fn covers_recut_invalidations_at_once_then_less_often() {
    let mut scene = Scene::new(Options::default());
    scene.read();
    let generation = |scene: &Scene| scene.fold.writer.zone("other").policy_generation;
    let mut when = Vec::new();
    for second in 0..120 {
        let before = generation(&scene);
        let fields = [("zone_id", "z-1"), ("outbox_id", UUID), ("note", "a\nzone_id=b")];
        scene.publish_fields(Stream::PolicyInvalidate, &fields);
        scene.read();
        if generation(&scene) > before {
            when.push(second);
        }
        scene.wait(1);
    }
    assert_eq!(when, [0, 1, 3, 7, 15, 31, 61, 91]);
    // The last one is covered when its pause has passed.
    let before = generation(&scene);
    scene.wait(30);
    scene.read();
    assert_eq!(generation(&scene), before + 1);
    scene.wait(60);
    scene.read();
    assert_eq!(generation(&scene), before + 1);
}

#[test]
fn alarm_ends_a_minute_after_the_last_failure() {
    let mut scene = Scene::new(Options::default());
    scene.publish("good", &key("1a"));
    scene.read();
    for _ in 0..3 {
        scene.wait(1);
        scene.publish("forged", &key("2b"));
        scene.wait(1);
        scene.publish("good", &key("1a"));
        scene.read();
        assert_eq!((scene.unready(), scene.is_degraded()), (None, true));
    }
    scene.wait(58);
    scene.read();
    assert!(scene.is_degraded());
    scene.wait(1);
    scene.read();
    assert!(!scene.is_degraded());
}

#[test]
fn alarm_for_forged_message_with_future_id_ends() {
    let mut scene = Scene::new(Options::default());
    scene.publish("good", &key("1a"));
    scene.read();
    let ahead = u64::try_from(scene.now().wall.as_millis()).unwrap() + 1_000_000_000;
    scene.publish_at(StreamId::new(ahead, 0), "forged", &key("2b"));
    scene.read();
    assert!(scene.is_degraded());
    scene.wait(60);
    scene.publish("good", &key("1a"));
    scene.read();
    assert!(!scene.is_degraded());
}

#[test]
fn snapshot_with_proven_key_stays_ready_despite_forged_history() {
    for (key_is_proven, unready) in [(true, None), (false, NO_SIGNATURE)] {
        let mut scene = Scene::new(Options::default()).recalling(0, key_is_proven);
        scene.publish("forged", &key("2b"));
        scene.read();
        scene.wait(61);
        scene.read();
        assert_eq!(scene.unready(), unready);
        assert_eq!(scene.is_degraded(), key_is_proven);
        assert_eq!(scene.queue.len(), usize::from(key_is_proven));
    }
}

#[test]
fn strict_is_unknown_beyond_bound_while_signatures_fail() {
    let mut scene = Scene::new(Options::strict());
    scene.publish("good", &key("1a"));
    scene.read();
    // Wait until tokens are beyond the horizon of a strict start.
    scene.wait(300);
    scene.read();
    // From now on the producers use another key.
    scene.publish("hidden", &key("2b"));
    for _ in 0..5 {
        scene.read();
        assert!(scene.is_admitted("hidden"), "within the bound");
        scene.wait(1);
    }
    scene.clock.advance(Duration::from_millis(1));
    scene.read();
    assert!(matches!(scene.verdict("hidden"), Verdict::Unknown(UnknownCause::Stale { .. })));
    let why = scene.unready().map(UnknownCause::label);
    assert_eq!((why, scene.is_degraded()), (Some("stale"), true));
    let position = scene.fold.position().unwrap();
    assert!(scene.now().elapsed_since(position.as_of) > 5 * SECOND, "a snapshot is no fresher");

    scene.wait(60);
    scene.publish("good", &key("1a"));
    scene.read();
    assert_eq!((scene.unready(), scene.is_degraded()), (None, false));

    let mut default = Scene::new(Options::default());
    default.publish("good", &key("1a"));
    default.read();
    default.publish("hidden", &key("2b"));
    default.wait(3_600);
    default.read();
    assert_eq!((default.unready(), default.is_degraded()), (None, true));
}

#[test]
fn strict_start_is_as_old_as_failed_message() {
    let mut scene = Scene::new(Options::strict());
    scene.publish("good", &key("1a"));
    scene.wait(1);
    scene.publish("hidden", &key("2b"));
    scene.wait(600);
    scene.read();
    let readiness = scene.fold.writer.readiness(scene.now());
    assert_eq!(readiness.unready.map(UnknownCause::label), Some("stale"));
    assert!(readiness.staleness.unwrap() >= 600 * SECOND, "{readiness}");
}

#[test]
fn is_fresh_after_snapshot_only_once_everything_was_reread() {
    let mut scene = Scene::new(Options::default());
    for n in 0..6 {
        scene.publish(&format!("ar-{n}"), &key("1a"));
        scene.wait(1);
    }
    let mut scene = scene.recalling(6, true);
    // The server lost its last two entries in a crash, and assigned ids below the last one to
    // others.
    let lost = scene.entries().split_off(4);
    let below = scene.entries()[3].id;
    scene.streams[STREAM.index()].as_mut().unwrap().added = 4;
    for (n, session) in [(1, "reused-1"), (2, "reused-2")] {
        scene.publish_at(StreamId::new(below.ms, below.seq + n), session, &key("1a"));
    }
    scene.wait(1);
    scene.publish("later", &key("1a"));
    assert!(scene.entries()[5].id < lost[1].id, "below the cursor of the snapshot");

    // Until everything was read, the view is only as fresh as the snapshot.
    let age = |scene: &Scene| scene.fold.writer.staleness(scene.now()).unwrap();
    for _ in 0..3 {
        scene.read_at_most(2);
        assert!(age(&scene) >= 2 * SECOND);
        assert!(!scene.fold.is_ready && scene.fold.position().is_none());
    }
    scene.read();
    assert_eq!(age(&scene), Duration::ZERO);
    for session in ["reused-1", "reused-2", "later"] {
        assert!(scene.is_revoked(session), "{session}");
    }
    assert_eq!(scene.fold.writer.horizon(), None, "nothing is missing");
}

#[test]
fn snapshot_proves_that_trimmed_history_was_read() {
    let mut scene = Scene::new(Options::default());
    for n in 0..6 {
        scene.publish(&format!("ar-{n}"), &key("1a"));
    }
    let mut scene = scene.recalling(6, true);
    scene.publish("later", &key("1a"));
    scene.entries().drain(..5);
    scene.read();
    assert!(scene.is_revoked("later") && scene.fold.is_tailing());
    assert_eq!(scene.fold.writer.horizon(), None);

    let mut missing = Scene::new(Options::default());
    missing.publish("ar-0", &key("1a"));
    let mut missing = missing.recalling(1, true);
    missing.publish("hidden", &key("1a"));
    missing.publish("later", &key("1a"));
    missing.entries().drain(..2);
    missing.read();
    missing.read();
    missing.read();
    assert!(missing.fold.writer.horizon().is_some(), "hidden was never read");
}

#[test]
fn missing_streams_are_reported_as_not_provisioned() {
    let mut scene = Scene::new(Options::default()).requiring_streams().without_streams();
    for _ in 0..3 {
        scene.read();
        assert_eq!(scene.unready(), NOT_PROVISIONED);
        assert!(!scene.is_admitted("anybody"));
    }
    assert!(scene.fold.position().is_none());
    // One stream is enough, because a missing stream cannot have been trimmed.
    scene.streams[STREAM.index()] = Some(Kept::default());
    scene.read();
    assert_eq!(scene.unready(), None);
    assert!(scene.is_admitted("anybody"));

    // Once the streams existed, their absence is a gap.
    scene.streams = PerStream::default();
    scene.read();
    scene.read();
    scene.read();
    assert_eq!(scene.unready(), None);
    assert!(scene.fold.writer.horizon().is_some());
}

#[test]
fn read_waits_only_at_the_end_of_its_streams_and_between_measurements() {
    let mut scene = Scene::new(Options::default());
    (0..2).for_each(|n| scene.publish(&format!("ar-{n}"), &key("1a")));
    let may_wait = |scene: &mut Scene, streams: &[Stream]| {
        let now = scene.now();
        scene.fold.may_wait(streams, now)
    };
    assert!(!may_wait(&mut scene, &Stream::ALL), "nothing was read");
    scene.read_at_most(1);
    assert!(!may_wait(&mut scene, &Stream::ALL), "one stream has more history");
    scene.read();
    assert!(!may_wait(&mut scene, &Stream::ALL), "the round trip is measured");
    assert!(may_wait(&mut scene, &Stream::ALL));
    scene.wait(5);
    assert!(!may_wait(&mut scene, &Stream::ALL), "it is measured again");
}

#[test]
fn streams_that_may_be_missing_count_as_empty() {
    let mut scene = Scene::new(Options::default()).without_streams();
    scene.read();
    assert_eq!(scene.unready(), None);
}

#[test]
fn snapshot_does_not_prove_streams_of_another_server() {
    let mut scene = Scene::new(Options::default()).requiring_streams();
    scene.publish("known", &key("1a"));
    let mut scene = scene.recalling(1, true).without_streams();
    for _ in 0..3 {
        scene.read();
    }
    assert_eq!(scene.unready(), NOT_PROVISIONED);
}

#[test]
fn message_read_again_is_reported_once() {
    let mut scene = Scene::new(Options::default());
    scene.publish("right", &key("1a"));
    scene.publish("forged", &key("2b"));
    scene.read();
    assert_eq!(scene.queue.len(), 1);
    scene.fold.suspect_loss(LossSuspicion::Restarted, [true; Stream::ALL.len()]);
    scene.read();
    assert_eq!(scene.fold.cursors(SECOND)[STREAM.index()], StreamId::ZERO);
    scene.publish("forged too", &key("2b"));
    scene.read();
    assert!(scene.fold.is_tailing());
    assert_eq!(scene.queue.len(), 2, "only the new message is added");
}

#[test]
fn reports_message_of_stream_that_was_created_again() {
    let mut scene = Scene::new(Options::default());
    scene.publish("right", &key("1a"));
    scene.publish("forged", &key("2b"));
    scene.read();
    scene.streams[STREAM.index()] = None;
    scene.read();
    // The server's clock is behind.
    scene.publish_at(StreamId::new(1, 0), "other", &key("2b"));
    scene.read();
    assert_eq!(scene.queue.len(), 2);
}
