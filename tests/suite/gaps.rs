//! Each way in which a stream can lose entries, on a real Redis. Every gap is detected, and
//! harmless changes raise no horizon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use caracal_revocation::internal::sign;
use caracal_revocation::state::{DenyReason, Options, OutageCause, RevocationsWriter, Verdict};
use caracal_revocation::wire::Stream;
use caracal_revocation::{Follower, Publisher, Revocations};
use redis::Pipeline;

use crate::delivery::{add, add_signed};
use crate::live::{
    caught_up, eventually, eventually_horizon, follow, is_admitted, is_revoked, is_unknown,
    issued_at, key, publisher, ready, revoke, ring, verdict,
};
use crate::proxy::Proxy;
use crate::redis_server::{RedisServer, settings};
use crate::replicas::follow_with_primary;
use crate::strict::SecondSource;

const STREAM: &str = "caracal.sessions.revoke";

/// A server with a history that a follower has read and proven complete.
struct Scene {
    server: RedisServer,
    _proxy: Option<Proxy>,
    publisher: Publisher,
    revocations: Revocations,
    /// Time of the server's second start, in seconds since the Unix epoch.
    restarted: Option<i64>,
}

impl Scene {
    async fn new() -> Self {
        let server = RedisServer::start();
        let publisher = publisher(&server).await;
        revoke(&publisher, "before").await;
        let revocations = follow(&server).await;
        caught_up(&revocations, &publisher).await;
        let scene = Self { server, _proxy: None, publisher, revocations, restarted: None };
        scene.assert_no_gap();
        scene
    }

    /// Runs all commands at once, so that the follower sees only the result.
    async fn at_once(&self, fill: impl FnOnce(&mut Pipeline)) {
        let mut commands = redis::pipe();
        commands.atomic();
        fill(&mut commands);
        commands.exec_async(&mut self.server.connection().await).await.unwrap();
    }

    fn assert_no_gap(&self) {
        assert_eq!(self.revocations.horizon(), None);
    }

    async fn expect_gap(&self) {
        expect_horizon(&self.revocations).await;
        still_follows(&self.revocations, &self.publisher).await;
    }
}

/// Waits for a gap. It denies tokens issued before its end, and none issued after.
async fn expect_horizon(revocations: &Revocations) {
    let horizon = eventually_horizon(revocations).await;
    let reason = |iat| match verdict(revocations, &issued_at("made-early", iat)) {
        Verdict::Denied(denial) => Some(denial.reason()),
        _ => None,
    };
    assert_eq!(reason(horizon), Some(DenyReason::HistoryIncomplete));
    assert_eq!(reason(horizon + 1), None);
}

async fn still_follows(revocations: &Revocations, publisher: &Publisher) {
    caught_up(revocations, publisher).await;
    assert!(is_revoked(revocations, "before"), "known revocations stay");
    eventually("newer tokens are admitted", || is_admitted(revocations, "made-late")).await;
}

fn xadd(commands: &mut Pipeline, id: &str) {
    commands.cmd("XADD").arg(STREAM).arg(id).arg("sid").arg("unsigned");
}

#[tokio::test]
async fn detects_trimming_past_the_cursor() {
    let scene = Scene::new().await;
    scene
        .at_once(|commands| {
            (0..3).for_each(|_| xadd(commands, "*"));
            commands.cmd("XTRIM").arg(STREAM).arg("MAXLEN").arg(1);
        })
        .await;
    scene.expect_gap().await;
}

#[tokio::test]
async fn detects_deletion_in_the_middle_and_at_the_tail() {
    for deleted in ["99999999999990-0", "99999999999991-0"] {
        let scene = Scene::new().await;
        scene
            .at_once(|commands| {
                xadd(commands, "99999999999990-0");
                xadd(commands, "99999999999991-0");
                commands.cmd("XDEL").arg(STREAM).arg(deleted);
            })
            .await;
        expect_horizon(&scene.revocations).await;
    }
}

#[tokio::test]
async fn detects_deleted_and_recreated_stream() {
    let scene = Scene::new().await;
    scene
        .at_once(|commands| {
            commands.cmd("DEL").arg(STREAM);
            // As many entries as before: only the count of entries read reveals the loss.
            (0..2).for_each(|_| xadd(commands, "*"));
        })
        .await;
    scene.expect_gap().await;
}

#[tokio::test]
async fn detects_flush_during_blocked_read() {
    let scene = Scene::new().await;
    scene
        .at_once(|commands| {
            commands.cmd("FLUSHALL");
        })
        .await;
    scene.expect_gap().await;
}

#[tokio::test]
async fn detects_flush_followed_by_new_entries() {
    let scene = Scene::new().await;
    scene
        .at_once(|commands| {
            commands.cmd("FLUSHALL");
            (0..50).for_each(|_| xadd(commands, "*"));
        })
        .await;
    scene.expect_gap().await;
}

#[tokio::test]
async fn detects_changed_ids_and_counters() {
    type Fill = fn(&mut Pipeline);
    let fills: [Fill; 3] = [
        |commands| {
            commands.cmd("XTRIM").arg(STREAM).arg("MAXLEN").arg(0);
            commands.cmd("XSETID").arg(STREAM).arg("5-0");
        },
        |commands| {
            let id = "99999999999990-0";
            commands.cmd("XSETID").arg(STREAM).arg(id).arg("ENTRIESADDED").arg(900);
            commands.arg("MAXDELETEDID").arg("0-0");
        },
        |commands| {
            commands.cmd("DEL").arg(STREAM);
            xadd(commands, "1-1");
        },
    ];
    for fill in fills {
        let scene = Scene::new().await;
        scene.at_once(fill).await;
        expect_horizon(&scene.revocations).await;
    }
}

#[tokio::test]
async fn detects_restart_without_persistence() {
    let mut server = RedisServer::start_with(&["--appendonly", "no"]);
    let proxy = Proxy::to(server.port()).await;
    revoke(&publisher(&server).await, "before").await;
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    ready(&revocations).await;
    proxy.fall_silent();
    server.kill();
    server.restart();
    let publisher = publisher(&server).await;
    for n in 0..20 {
        revoke(&publisher, &format!("after-{n}")).await;
    }
    proxy.redirect(server.port());
    expect_horizon(&revocations).await;
    still_follows(&revocations, &publisher).await;
}

/// Revokes a session with a message of this id.
async fn revoke_as(server: &RedisServer, id: &str, session: &str) {
    let mut fields = vec![("sid".to_owned(), session.to_owned())];
    sign(&key(1), Stream::SessionsRevoke, &mut fields);
    let mut command = redis::cmd("XADD");
    command.arg(STREAM).arg(id);
    for (name, value) in &fields {
        command.arg(name).arg(value);
    }
    command.exec_async(&mut server.connection().await).await.unwrap();
}

#[tokio::test]
async fn reads_messages_whose_ids_were_given_twice() {
    // The ids run ahead of the clock, as after it was set back, and so increase by one.
    let ids = ["99999999999990-1", "99999999999990-2"];
    let mut server = RedisServer::start_with(&["--appendonly", "no"]);
    let proxy = Proxy::to(server.port()).await;
    for (id, session) in ids.into_iter().zip(["lost-1", "lost-2"]) {
        revoke_as(&server, id, session).await;
    }
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    ready(&revocations).await;
    proxy.fall_silent();
    server.kill();
    server.restart();
    for (id, session) in ids.into_iter().zip(["new-1", "new-2"]) {
        revoke_as(&server, id, session).await;
    }
    // As many entries with the same ids: the counters cannot reveal the loss.
    proxy.redirect(server.port());
    for session in ["new-1", "new-2"] {
        eventually(session, || is_revoked(&revocations, session)).await;
    }
    assert!(is_revoked(&revocations, "lost-1"), "revocations that were read stay");
}

/// Copies the append-only file, as a backup does.
fn copy_aof(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Returns a server that crashed and restarted from an older backup, without the message `lost`,
/// which the follower has read or not.
async fn crash_back(options: Options, was_read: bool) -> Scene {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let proxy = Proxy::to(server.port()).await;
    let before = publisher(&server).await;
    revoke(&before, "before").await;
    let follower =
        Follower::new(settings(&proxy.url(), &ring())).with_writer(RevocationsWriter::new(options));
    let revocations = follower.spawn();
    ready(&revocations).await;
    caught_up(&revocations, &before).await;
    let (live, backup): (PathBuf, PathBuf) =
        (server.folder().join("appendonlydir"), server.folder().join("backup"));
    copy_aof(&live, &backup);
    if !was_read {
        proxy.fall_silent();
    }
    revoke(&before, "lost").await;
    if was_read {
        eventually("the message is read", || is_revoked(&revocations, "lost")).await;
    }
    server.kill();
    std::fs::remove_dir_all(&live).unwrap();
    copy_aof(&backup, &live);
    // Wait for the next whole second: the horizon of the start lies below it.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let restarted = since.unwrap().as_secs() as i64;
    server.restart();
    proxy.redirect(server.port());
    let publisher = publisher(&server).await;
    caught_up(&revocations, &publisher).await;
    Scene { server, _proxy: Some(proxy), publisher, revocations, restarted: Some(restarted) }
}

#[tokio::test]
async fn detects_crash_that_loses_read_entries() {
    let scene = crash_back(Options::default(), true).await;
    scene.expect_gap().await;
    assert!(is_revoked(&scene.revocations, "lost"), "revocations that were read stay");
}

#[tokio::test]
async fn suspects_loss_of_unread_entries_and_strict_denies() {
    let before = RevocationsWriter::new(Options::default()).losses();
    let scene = crash_back(Options::default(), false).await;
    scene.assert_no_gap();
    assert_ne!(scene.revocations.losses(), before, "the baseline is read again");
    still_follows(&scene.revocations, &scene.publisher).await;

    // In strict mode the start has already raised the horizon; it must rise once more.
    let mut options = Options::strict();
    options.horizon_margin = Duration::ZERO;
    let scene = crash_back(options, false).await;
    let restarted = scene.restarted.unwrap();
    eventually("the horizon is beyond the restart", || {
        scene.revocations.horizon().is_some_and(|second| second >= restarted)
    })
    .await;
}

#[tokio::test]
async fn detects_another_server_at_the_same_address() {
    let (one, other) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::to(one.port()).await;
    let publishers = (publisher(&one).await, publisher(&other).await);
    revoke(&publishers.0, "before").await;
    for n in 0..5 {
        revoke(&publishers.1, &format!("other-{n}")).await;
    }
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    ready(&revocations).await;
    caught_up(&revocations, &publishers.0).await;
    proxy.redirect(other.port());
    expect_horizon(&revocations).await;
    still_follows(&revocations, &publishers.1).await;
}

/// Returns a primary and a replica in sync with it.
async fn pair() -> (RedisServer, RedisServer) {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    replicate(&replica, Some(&primary)).await;
    (primary, replica)
}

async fn replicate(replica: &RedisServer, of: Option<&RedisServer>) {
    let mut command = redis::cmd("REPLICAOF");
    match of {
        Some(primary) => command.arg("127.0.0.1").arg(primary.port()),
        None => command.arg("NO").arg("ONE"),
    };
    let mut connection = replica.connection().await;
    command.exec_async(&mut connection).await.unwrap();
    if of.is_some() {
        synchronized(replica).await;
    }
}

async fn info(server: &RedisServer) -> String {
    let mut connection = server.connection().await;
    redis::cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap_or_default()
}

async fn synchronized(replica: &RedisServer) {
    let start = std::time::Instant::now();
    while !info(replica).await.contains("master_link_status:up") {
        assert!(start.elapsed() < crate::live::TIMEOUT, "the replica does not synchronize");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn field(info: &str, name: &str) -> i64 {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn detects_failover_to_a_lagging_replica() {
    let (mut primary, replica) = pair().await;
    let proxy = Proxy::to(primary.port()).await;
    let before = publisher(&primary).await;
    revoke(&before, "before").await;
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    ready(&revocations).await;
    caught_up(&revocations, &before).await;
    let offset = field(&info(&primary).await, "master_repl_offset");
    while field(&info(&replica).await, "master_repl_offset") < offset {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The replica gets none of the writes that the primary still acknowledges.
    replicate(&replica, None).await;
    revoke(&before, "lost").await;
    eventually("the message is read", || is_revoked(&revocations, "lost")).await;
    let losses = revocations.losses();
    primary.kill();
    proxy.redirect(replica.port());
    expect_horizon(&revocations).await;
    assert_ne!(revocations.losses(), losses);
    still_follows(&revocations, &publisher(&replica).await).await;
}

#[tokio::test]
async fn detects_failover_that_loses_entries_read_in_an_unfinished_replay() {
    let (mut primary, replica) = pair().await;
    let before = publisher(&primary).await;
    // A horizon at the first entry, as after trimming, would be ten minutes too low.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = now.as_millis() - 600_000;
    for n in 0..40 {
        revoke_as(&primary, &format!("{}-0", first + n), &format!("kept-{n}")).await;
    }
    let offset = field(&info(&primary).await, "master_repl_offset");
    while field(&info(&replica).await, "master_repl_offset") < offset {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The replica gets none of the writes that the primary still acknowledges.
    replicate(&replica, None).await;
    revoke(&before, "lost-read").await;
    let noise = vec![b'.'; 1 << 20];
    // The first read asks for 100 entries, so the large one is in a later answer.
    for size in [[10; 100].as_slice(), &[noise.len()]].concat() {
        add(&primary, STREAM, &[(b"noise", &noise[..size])]).await;
    }
    revoke(&before, "lost-unread").await;
    let proxy = Proxy::to(primary.port()).await;
    proxy.cut_answers_at(200_000);
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    eventually("the first entries are read", || is_revoked(&revocations, "lost-read")).await;
    assert!(!is_revoked(&revocations, "lost-unread"));
    assert!(is_unknown(&revocations).is_some(), "the replay is not finished");
    primary.kill();
    let after = publisher(&replica).await;
    revoke(&after, "after").await;
    proxy.redirect(replica.port());
    ready(&revocations).await;
    assert!(is_revoked(&revocations, "after") && is_revoked(&revocations, "lost-read"));
    expect_horizon(&revocations).await;
    let issued = issued_at("lost-unread", i64::try_from(now.as_secs()).unwrap());
    assert!(matches!(verdict(&revocations, &issued), Verdict::Denied(_)));
}

#[tokio::test]
async fn failover_to_complete_replica_raises_no_horizon() {
    let (mut primary, replica) = pair().await;
    let proxy = Proxy::to(primary.port()).await;
    let before = publisher(&primary).await;
    revoke(&before, "before").await;
    let second = SecondSource::default();
    let follower = Follower::new(settings(&proxy.url(), &ring())).with_baseline(second.clone());
    let revocations = follower.spawn();
    ready(&revocations).await;
    caught_up(&revocations, &before).await;
    eventually("the baseline is read", || second.readings() == 1).await;
    // The proven offset is up to a second old: the promoted replica must be beyond it.
    let offset = field(&info(&primary).await, "master_repl_offset");
    while field(&info(&replica).await, "master_repl_offset") <= offset {
        revoke(&before, "more").await;
    }
    primary.kill();
    replicate(&replica, None).await;
    proxy.redirect(replica.port());
    still_follows(&revocations, &publisher(&replica).await).await;
    assert_eq!(revocations.horizon(), None);
    // Only the baseline knows writes that the old primary acknowledged at the very end.
    eventually("the baseline is read again", || second.readings() > 1).await;
}

#[tokio::test]
async fn detects_replica_that_switches_to_another_primary() {
    let (primary, replica) = pair().await;
    let stranger = RedisServer::start();
    let publishers = (publisher(&primary).await, publisher(&stranger).await);
    revoke(&publishers.0, "before").await;
    revoke(&publishers.1, "other").await;
    let link = Proxy::to(primary.port()).await;
    let revocations = follow_with_primary(&replica, Some(link.url()), Duration::from_secs(60));
    ready(&revocations).await;
    caught_up(&revocations, &publishers.0).await;
    link.redirect(stranger.port());
    replicate(&replica, Some(&stranger)).await;
    expect_horizon(&revocations).await;
    still_follows(&revocations, &publishers.1).await;
}

#[tokio::test]
async fn full_resynchronization_raises_no_horizon() {
    let (primary, replica) = pair().await;
    let publisher = publisher(&primary).await;
    revoke(&publisher, "before").await;
    let revocations = follow_with_primary(&replica, Some(primary.url()), Duration::from_secs(60));
    ready(&revocations).await;
    caught_up(&revocations, &publisher).await;
    let full = async || {
        let mut connection = primary.connection().await;
        let stats: String =
            redis::cmd("INFO").arg("stats").query_async(&mut connection).await.unwrap();
        field(&stats, "sync_full")
    };
    let before = full().await;
    // The replica forgets its offset, and so needs a full resynchronization.
    replicate(&replica, None).await;
    let mut connection = replica.connection().await;
    redis::cmd("SET").arg("own").arg("history").exec_async(&mut connection).await.unwrap();
    replicate(&replica, Some(&primary)).await;
    eventually("the stream is read again", || {
        revocations.readiness(revocations.now()).outage != Some(OutageCause::Loading)
    })
    .await;
    caught_up(&revocations, &publisher).await;
    assert!(full().await > before, "the resynchronization was full");
    assert_eq!(revocations.horizon(), None);
    still_follows(&revocations, &publisher).await;
}

#[tokio::test]
async fn ambiguous_signed_message_raises_the_horizon() {
    let scene = Scene::new().await;
    let stream = Stream::SessionsRevoke;
    let fields = [("reason", "x"), ("sid", "hidden\nsid=behind")];
    add_signed(&scene.server, stream, stream, &fields).await;
    scene.expect_gap().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trimming_behind_the_cursor_raises_no_horizon() {
    const CHECKS: i64 = 20_000;
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    let revocations = follow(&server).await;
    let losses = revocations.losses();
    let (done, is_done) = tokio::sync::watch::channel(false);
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (revocations, url, is_done) = (revocations.clone(), server.url(), is_done.clone());
            tokio::spawn(async move {
                let settings = settings(&url, &ring());
                let publisher = Publisher::connect(&settings).await.unwrap();
                let client = redis::Client::open(url).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                let mut round = 0;
                while !*is_done.borrow() {
                    // Stays close enough to the reader that trimming removes only entries already
                    // read.
                    for n in 0..100 {
                        let stream = Stream::ALL[(n + writer) % Stream::ALL.len()];
                        let mut add = redis::cmd("XADD");
                        add.arg(stream.name()).arg("MAXLEN").arg("~").arg(1_000).arg("*");
                        add.arg("sid").arg("unsigned");
                        add.exec_async(&mut connection).await.unwrap();
                    }
                    let marker = format!("marker-{writer}-{round}");
                    revoke(&publisher, &marker).await;
                    eventually("the marker is read", || is_revoked(&revocations, &marker)).await;
                    round += 1;
                }
            })
        })
        .collect();
    let mut connection = server.connection().await;
    let start = std::time::Instant::now();
    loop {
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
        let calls = stats.split_once("cmdstat_xread:calls=").unwrap().1;
        let calls: i64 = calls.split(',').next().unwrap().parse().unwrap();
        if calls >= CHECKS {
            break;
        }
        assert!(start.elapsed() < 3 * crate::live::TIMEOUT, "{calls} checks");
        assert_eq!(revocations.horizon(), None, "a false alarm after {calls} checks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    done.send(true).unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(revocations.horizon(), None);
    assert_eq!(revocations.losses(), losses);
}
