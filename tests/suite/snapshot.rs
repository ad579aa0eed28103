//! A restarted service restores its state from the snapshot, also while Redis is down.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caracal_revocation::internal::sign;
use caracal_revocation::state::{
    Degraded, DenyReason, ManualClock, Options, RevocationsWriter, UnknownCause, Verdict,
};
use caracal_revocation::wire::{KeyRing, Stream};
use caracal_revocation::{Follower, Publisher, Revocations};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::util::SubscriberInitExt;

use crate::delivery::add;
use crate::live::{
    caught_up, claims, eventually, eventually_horizon, is_admitted, is_revoked, is_unknown, key,
    publisher, ready, revoke, ring, verdict,
};
use crate::redis_server::RedisServer;

const STREAM: &str = Stream::SessionsRevoke.name();

/// One run of a service.
struct Life {
    revocations: Revocations,
    stop: oneshot::Sender<()>,
    end: JoinHandle<()>,
}

impl Life {
    fn begin(server: &RedisServer, snapshot: &Path, options: Options) -> Self {
        Self::with(server, &ring(), snapshot, RevocationsWriter::new(options))
    }

    fn with(
        server: &RedisServer,
        keys: &KeyRing,
        snapshot: &Path,
        state: RevocationsWriter,
    ) -> Self {
        let follower =
            Follower::new(server.settings(keys)).with_writer(state).with_snapshot(snapshot);
        let revocations = follower.revocations();
        let (stop, stopped) = oneshot::channel();
        let end = tokio::spawn(follower.run(async { stopped.await.unwrap_or(()) }));
        Self { revocations, stop, end }
    }

    async fn end(self) {
        self.stop.send(()).expect("the service runs");
        self.end.await.expect("the service ends");
    }
}

fn within(deny_after: Duration) -> Options {
    let mut options = Options::default();
    options.deny_after = deny_after;
    options
}

/// Starts a server that persists every acknowledged write.
fn durable() -> RedisServer {
    RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"])
}

/// Runs a service that reads one revocation and ends; returns the path of its snapshot.
async fn past(server: &RedisServer) -> (Publisher, PathBuf) {
    let snapshot = server.folder().join("snapshot");
    let publisher = publisher(server).await;
    revoke(&publisher, "known").await;
    let first = Life::begin(server, &snapshot, Options::default());
    ready(&first.revocations).await;
    caught_up(&first.revocations, &publisher).await;
    first.end().await;
    (publisher, snapshot)
}

fn is_stale(revocations: &Revocations) -> bool {
    matches!(is_unknown(revocations), Some(UnknownCause::Stale { .. }))
}

/// Returns the denial reason for a token issued before every gap of these tests.
fn denial_of_old_token(revocations: &Revocations, session: &str) -> Option<DenyReason> {
    let mut old = claims(session);
    old.iat = 1_000_000_000;
    match verdict(revocations, &old) {
        Verdict::Denied(denial) => Some(denial.reason()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_without_redis_denies_known_and_resumes_reading() {
    let mut server = durable();
    let (_, snapshot) = past(&server).await;
    server.kill();

    // Within the bound, other tokens are admitted, as if the process had never ended.
    let second = Life::begin(&server, &snapshot, Options::default());
    eventually("the known revocation is denied", || is_revoked(&second.revocations, "known")).await;
    eventually("other tokens are admitted", || is_admitted(&second.revocations, "other")).await;
    second.end().await;

    let third = Life::begin(&server, &snapshot, within(Duration::from_millis(400)));
    let revocations = &third.revocations;
    eventually("the known revocation is denied", || is_revoked(revocations, "known")).await;
    eventually("the state is stale for other tokens", || is_stale(revocations)).await;
    // The answers do not change over time.
    for _ in 0..100 {
        assert!(is_stale(revocations) && is_revoked(revocations, "known"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    server.restart();
    eventually("reading continues", || is_admitted(revocations, "other")).await;
    let publisher = publisher(&server).await;
    revoke(&publisher, "later").await;
    eventually("new revocations are applied", || is_revoked(revocations, "later")).await;
    assert!(is_revoked(revocations, "known"));
    assert_eq!(revocations.horizon(), None, "no entry was missed");
    third.end().await;
}

/// Adds a signed revocation with this id.
async fn revoke_at(server: &RedisServer, id: &str, session: &str) {
    let mut fields = vec![("session_id".to_owned(), session.to_owned())];
    sign(&key(1), Stream::SessionsRevoke, &mut fields);
    let mut add = redis::cmd("XADD");
    add.arg(STREAM).arg(id);
    for (name, value) in &fields {
        add.arg(name).arg(value);
    }
    add.exec_async(&mut server.connection().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_ids_given_twice_below_the_snapshot() {
    let server = durable();
    let snapshot = server.folder().join("snapshot");
    let publisher = publisher(&server).await;
    let kept = revoke(&publisher, "kept").await;
    let mut connection = server.connection().await;
    let before: Vec<u8> =
        redis::cmd("DUMP").arg(STREAM).query_async(&mut connection).await.unwrap();
    revoke(&publisher, "lost-1").await;
    let first = Life::begin(&server, &snapshot, Options::default());
    ready(&first.revocations).await;
    // The last entry read; the cursor points to it.
    caught_up(&first.revocations, &publisher).await;
    first.end().await;

    // A crash loses both entries after `kept`. The clock is behind: two new entries get ids before
    // the cursor, and a third one after it. The counters agree.
    redis::cmd("DEL").arg(STREAM).exec_async(&mut connection).await.unwrap();
    redis::cmd("RESTORE")
        .arg(STREAM)
        .arg(0)
        .arg(&before)
        .exec_async(&mut connection)
        .await
        .unwrap();
    for (n, session) in [(1, "reused-1"), (2, "reused-2")] {
        revoke_at(&server, &format!("{}-{}", kept.ms, kept.seq + n), session).await;
    }
    let second = Life::begin(&server, &snapshot, Options::default());
    let revocations = &second.revocations;
    caught_up(revocations, &publisher).await;
    for session in ["kept", "lost-1", "reused-1", "reused-2"] {
        assert!(is_revoked(revocations, session), "{session}");
    }
    assert_eq!(revocations.horizon(), None, "no entry is missing");
    second.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_with_snapshot_stays_ready_despite_a_forgery() {
    let server = durable();
    let (_, snapshot) = past(&server).await;
    let trim = async || {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(STREAM).arg("MAXLEN").arg(0);
        trim.exec_async(&mut server.connection().await).await.unwrap();
    };
    // Only a forged entry remains of the history.
    trim().await;
    add(&server, STREAM, &[(b"session_id", b"forged")]).await;
    let second = Life::begin(&server, &snapshot, within(Duration::from_millis(400)));
    let readiness = || second.revocations.readiness(second.revocations.now());
    let is_degraded = || readiness().degraded == Some(Degraded::SignaturesFail);
    eventually("the alarm is raised", is_degraded).await;
    eventually("the service is ready", || readiness().is_ready()).await;
    assert!(is_revoked(&second.revocations, "known"));
    assert_eq!(second.revocations.horizon(), None);
    second.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detects_gap_between_snapshot_and_stream() {
    let server = RedisServer::start();
    let (publisher, snapshot) = past(&server).await;
    // Entries before the cursor may be trimmed.
    let trim = async || {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(STREAM).arg("MAXLEN").arg(1);
        trim.query_async::<usize>(&mut server.connection().await).await.unwrap()
    };
    assert!(trim().await >= 1);
    let second = Life::begin(&server, &snapshot, Options::default());
    caught_up(&second.revocations, &publisher).await;
    assert_eq!(second.revocations.horizon(), None);
    second.end().await;

    revoke(&publisher, "hidden").await;
    revoke(&publisher, "seen").await;
    assert!(trim().await >= 2);
    let third = Life::begin(&server, &snapshot, Options::default());
    let revocations = &third.revocations;
    eventually_horizon(revocations).await;
    eventually("reading continues", || is_revoked(revocations, "seen")).await;
    assert!(is_revoked(revocations, "known"), "trimmed from the stream, not from the snapshot");
    assert_eq!(denial_of_old_token(revocations, "hidden"), Some(DenyReason::HistoryIncomplete));
    third.end().await;

    // The next run restores the gap from the snapshot.
    let fourth = Life::begin(&server, &snapshot, Options::default());
    let revocations = &fourth.revocations;
    caught_up(revocations, &publisher).await;
    assert_eq!(denial_of_old_token(revocations, "hidden"), Some(DenyReason::HistoryIncomplete));
    fourth.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_mode_rereads_streams_and_keeps_known_revocations() {
    let mut server = durable();
    let (_, snapshot) = past(&server).await;
    server.kill();
    let second = Life::begin(&server, &snapshot, Options::strict());
    let revocations = &second.revocations;
    eventually("the known revocation is denied", || is_revoked(revocations, "known")).await;
    server.restart();
    // A stream whose first entry is younger than the window may have been recreated.
    eventually_horizon(revocations).await;
    assert!(is_revoked(revocations, "known"));
    assert_eq!(denial_of_old_token(revocations, "other"), Some(DenyReason::HistoryIncomplete));
    second.end().await;
}

/// This thread's log.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    /// Captures the log until the second value is dropped.
    pub(crate) fn begin() -> (Self, impl Sized) {
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false);
        let guard = subscriber.with_writer(move || writer.clone()).finish().set_default();
        (logged, guard)
    }

    /// Returns the lines so far that contain this text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let written = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        written.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn unusable_snapshot_is_logged_once_and_ignored() {
    let (logged, _until_the_end) = Logged::begin();
    let mut server = durable();
    let (_, snapshot) = past(&server).await;
    let good = std::fs::read(&snapshot).unwrap();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let tomorrow = || {
        let clock = Arc::new(ManualClock::new());
        let today = std::time::UNIX_EPOCH.elapsed().unwrap();
        clock.advance_wall(today + Duration::from_secs(25 * 3_600));
        RevocationsWriter::with_clock(Options::default(), clock)
    };
    let today = || RevocationsWriter::new(Options::default());
    let torn = good[..good.len() / 2].to_vec();
    let cases = [
        ("the seal is broken", torn, today(), false),
        ("the seal is broken", changed(good.len() / 2), today(), false),
        ("the seal is broken", good.clone(), today(), true),
        ("of version 18", changed(28), today(), false),
        ("no valid token is affected by it", good.clone(), tomorrow(), false),
        ("not a snapshot", b"caracal".to_vec(), today(), false),
    ];
    for (why, bytes, state, is_foreign) in cases {
        let keys = if is_foreign { KeyRing::new(key(9)) } else { ring() };
        std::fs::write(&snapshot, &bytes).unwrap();
        server.kill();
        let before = logged.lines("the snapshot is not used").len();
        let second = Life::with(&server, &keys, &snapshot, state);
        let lines = || logged.lines("the snapshot is not used")[before..].to_vec();
        eventually("the rejection is logged", || !lines().is_empty()).await;
        let outage = || second.revocations.readiness(second.revocations.now()).outage;
        eventually("Redis is down", || outage().is_some()).await;
        assert_eq!(second.revocations.entries(), 0, "{why}");
        assert!(
            matches!(is_unknown(&second.revocations), Some(UnknownCause::NotReady(_))),
            "{why}"
        );
        let [line] = lines().try_into().unwrap();
        assert!(line.contains(why) && line.contains("CARACAL_REVOCATION_SNAPSHOT"), "{line}");
        assert_eq!(std::fs::read(&snapshot).unwrap(), bytes, "{why}: the file is unchanged");
        server.restart();
        // The messages are signed too, with a key that the foreign service does not have.
        if !is_foreign {
            eventually("the streams are read again", || is_revoked(&second.revocations, "known"))
                .await;
        }
        second.end().await;
    }
}
