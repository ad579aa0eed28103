//! A follower that reads a replica: its view is only as fresh as the primary confirms.

use std::time::{Duration, Instant};

use caracal_revocation::state::{Moment, Options, OutageCause, RevocationsWriter, UnknownCause};
use caracal_revocation::{Follower, Revocations, Settings};

use crate::delivery::add;
use crate::live::{
    TIMEOUT, eventually, is_admitted, is_revoked, is_unknown, publisher, ready, revoke, ring,
};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;
use crate::tls::{LETTERS, allow};

/// Returns a primary, and a replica whose link to it goes through a proxy.
async fn linked() -> (RedisServer, RedisServer, Proxy) {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    let link = Proxy::to(primary.port()).await;
    replicate(&replica, link.port()).await;
    (primary, replica, link)
}

/// Makes a server a replica of the one at this port.
async fn replicate(replica: &RedisServer, port: u16) {
    let mut command = redis::cmd("REPLICAOF");
    command.arg("127.0.0.1").arg(port);
    command.exec_async(&mut replica.connection().await).await.unwrap();
}

async fn promote(replica: &RedisServer) {
    let mut command = redis::cmd("REPLICAOF");
    command.arg("NO").arg("ONE");
    command.exec_async(&mut replica.connection().await).await.unwrap();
}

/// Returns a field of `INFO`.
async fn info(server: &RedisServer, field: &str) -> String {
    let mut connection = server.connection().await;
    let info: String = redis::cmd("INFO").query_async(&mut connection).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// Waits until a field of `INFO` has this value.
async fn wait_for_info(server: &RedisServer, field: &str, expected: &str) {
    let start = Instant::now();
    while info(server, field).await != expected {
        assert!(start.elapsed() < TIMEOUT, "{field} never became {expected}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Writes this many megabytes to a key that is not a stream.
async fn burst(server: &RedisServer, megabytes: usize) {
    let mut connection = server.connection().await;
    let filler = vec![b'x'; 1 << 20];
    for _ in 0..megabytes {
        let mut command = redis::cmd("SET");
        command.arg("filler").arg(&filler);
        command.exec_async(&mut connection).await.unwrap();
    }
}

fn outage(revocations: &Revocations) -> Option<&'static str> {
    revocations.readiness(revocations.now()).outage.map(OutageCause::label)
}

/// Returns `true` if the view was proven at a time after `moment`.
fn is_proven_since(revocations: &Revocations, moment: Moment) -> bool {
    let now = revocations.now();
    revocations.staleness(now).is_ok_and(|staleness| staleness < now.elapsed_since(moment))
}

fn follow(replica: &RedisServer, primary: Option<&RedisServer>, bound: Duration) -> Revocations {
    follow_with_primary(replica, primary.map(RedisServer::url), bound)
}

/// Returns a follower of a replica, with `REDIS_PRIMARY_URL` if `primary` is set.
pub(crate) fn follow_with_primary(
    replica: &RedisServer,
    primary: Option<String>,
    bound: Duration,
) -> Revocations {
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_URL" => Some(replica.url()),
        "REDIS_PRIMARY_URL" => primary.clone(),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => None,
    });
    let mut options = Options::default();
    options.deny_after = bound;
    Follower::new(settings.unwrap().with_keys(ring()))
        .with_writer(RevocationsWriter::new(options))
        .spawn()
}

async fn dead_letters(server: &RedisServer) -> u64 {
    let mut length = redis::cmd("XLEN");
    length.arg("caracal.sessions.revoke.dead");
    length.query_async(&mut server.connection().await).await.unwrap()
}

#[tokio::test]
async fn replica_with_hung_link_is_stale() {
    let (primary, replica, link) = linked().await;
    let publisher = publisher(&primary).await;
    revoke(&publisher, "before").await;
    let revocations = follow(&replica, Some(&primary), Duration::from_secs(3));
    ready(&revocations).await;
    eventually("the message is replicated", || is_revoked(&revocations, "before")).await;
    // The streams are idle and the view stays fresh: the primary has no more than the replica.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(is_unknown(&revocations), None);

    link.fall_silent();
    revoke(&publisher, "unheard").await;
    eventually("the view is stale", || {
        matches!(is_unknown(&revocations), Some(UnknownCause::Stale { .. }))
    })
    .await;
    assert!(!is_revoked(&revocations, "unheard"));
    eventually("the cause of the outage is reported", || outage(&revocations) == Some("behind"))
        .await;

    link.redirect(primary.port());
    eventually("the missed message is read", || is_revoked(&revocations, "unheard")).await;
    eventually("the view is fresh", || is_unknown(&revocations).is_none()).await;
    assert_eq!(revocations.horizon(), None);
}

#[tokio::test]
async fn writes_dead_letters_to_the_primary_of_a_replica() {
    let (primary, replica, _link) = linked().await;
    let revocations = follow(&replica, Some(&primary), Duration::from_secs(60));
    ready(&revocations).await;
    // Until a message has verified, the key may be wrong.
    revoke(&publisher(&primary).await, "good").await;
    add(&primary, "caracal.sessions.revoke", &[(b"sid", b"unsigned")]).await;
    let start = std::time::Instant::now();
    while dead_letters(&primary).await == 0 {
        assert!(start.elapsed() < crate::live::TIMEOUT, "no dead letter");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn primary_user_needs_only_documented_rights() {
    let (primary, replica, _link) = linked().await;
    revoke(&publisher(&primary).await, "before").await;
    allow(&primary, "querier", "+info").await;
    allow(&primary, "keeper", &format!("+info {LETTERS}")).await;
    allow(&primary, "nobody", "-@all").await;
    let at = |user: &str| Some(format!("redis://{user}:secret@127.0.0.1:{}", primary.port()));
    let minute = Duration::from_secs(60);

    let nobody = follow_with_primary(&replica, at("nobody"), minute);
    let querier = follow_with_primary(&replica, at("querier"), minute);
    ready(&querier).await;
    eventually("the message is replicated", || is_revoked(&querier, "before")).await;
    add(&primary, "caracal.sessions.revoke", &[(b"sid", b"unsigned")]).await;
    revoke(&publisher(&primary).await, "after").await;
    eventually("the follower reads later messages", || is_revoked(&querier, "after")).await;
    assert_eq!(dead_letters(&primary).await, 0);
    // Without rights at the primary it reads revocations, but cannot prove completeness.
    eventually("it also reads the messages", || is_revoked(&nobody, "after")).await;
    assert!(matches!(is_unknown(&nobody), Some(UnknownCause::NotReady(_))));

    let keeper = follow_with_primary(&replica, at("keeper"), minute);
    ready(&keeper).await;
    let start = std::time::Instant::now();
    while dead_letters(&primary).await == 0 {
        assert!(start.elapsed() < crate::live::TIMEOUT, "no dead letter");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Over a link of 1 MB/s, 10 MB take 10 s. Meanwhile the link stays up.
#[tokio::test]
async fn denies_beyond_bound_while_replica_lags_behind_burst() {
    const BOUND: Duration = Duration::from_secs(2);
    let (primary, replica, link) = linked().await;
    let publisher = publisher(&primary).await;
    revoke(&publisher, "before").await;
    wait_for_info(&replica, "master_link_status", "up").await;
    let vouched = follow(&replica, Some(&primary), BOUND);
    ready(&vouched).await;
    let unvouched = follow(&replica, None, BOUND);

    link.throttle(1_000_000);
    burst(&primary, 10).await;
    let published = vouched.now();
    revoke(&publisher, "victim").await;
    let (mut was_stale, start) = (false, Instant::now());
    while !is_revoked(&vouched, "victim") {
        assert!(start.elapsed() < 4 * TIMEOUT, "the burst is never replicated");
        for revocations in [&vouched, &unvouched] {
            let is_late = revocations.now().elapsed_since(published) > BOUND;
            let is_admitted = is_admitted(revocations, "victim");
            assert!(!(is_late && is_admitted), "admitted after {:?}", start.elapsed());
        }
        was_stale |= matches!(is_unknown(&vouched), Some(UnknownCause::Stale { .. }));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(was_stale, "the replica lagged for longer than the bound");
    link.resume();
    eventually("the view is fresh", || is_unknown(&vouched).is_none()).await;
    assert!(matches!(is_unknown(&unvouched), Some(UnknownCause::NotReady(_))));
    assert_eq!(outage(&unvouched), Some("replica_without_primary"));
}

#[tokio::test]
async fn names_setting_for_replica_without_primary() {
    let logged = crate::errors::Logged::from_now();
    let (primary, replica, _link) = linked().await;
    revoke(&publisher(&primary).await, "before").await;
    let revocations = follow(&replica, None, Duration::from_secs(60));
    eventually("the replica is rejected", || {
        outage(&revocations) == Some("replica_without_primary")
    })
    .await;
    eventually("the follower reads the stream", || is_revoked(&revocations, "before")).await;
    revoke(&publisher(&primary).await, "after").await;
    eventually("the follower reads later messages", || is_revoked(&revocations, "after")).await;
    assert!(matches!(is_unknown(&revocations), Some(UnknownCause::NotReady(_))));
    assert_eq!(outage(&revocations), Some("replica_without_primary"));
    assert_eq!(logged.lines_with("REDIS_PRIMARY_URL"), 1, "logged once");

    promote(&replica).await;
    ready(&revocations).await;
    eventually("the outage is over", || outage(&revocations).is_none()).await;
}

/// The follower's server becomes a replica between two reads; the follower reads on over the same
/// connection.
#[tokio::test]
async fn demoted_primary_confirms_nothing() {
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let link = Proxy::to(server.port()).await;
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_URL" => Some(link.url()),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => None,
    });
    let mut options = Options::default();
    // Limits each blocking read to a tenth of a second.
    options.deny_after = Duration::from_millis(400);
    options.warn_after = Duration::from_millis(400);
    let follower = Follower::new(settings.unwrap().with_keys(ring()));
    let revocations = follower.with_writer(RevocationsWriter::new(options)).spawn();
    for _ in 0..5 {
        eventually("the view is fresh", || is_unknown(&revocations).is_none()).await;
        // The answer of a blocking read that timed out is on its way.
        link.fall_silent();
        wait_for_info(&server, "blocked_clients", "0").await;
        replicate(&server, other.port()).await;
        let demoted = revocations.now();
        revoke(&publisher(&other).await, "published there").await;
        link.resume();
        eventually("the missing primary is reported", || {
            assert!(
                !is_proven_since(&revocations, demoted),
                "a demoted primary confirmed the view"
            );
            outage(&revocations) == Some("replica_without_primary")
        })
        .await;
        eventually("the message of the new primary is read", || {
            is_revoked(&revocations, "published there")
        })
        .await;
        assert!(!is_proven_since(&revocations, demoted));
        promote(&server).await;
    }
}

#[tokio::test]
async fn reads_replica_of_replica_as_of_first_primary() {
    let (primary, middle, _link) = linked().await;
    let last = RedisServer::start();
    wait_for_info(&middle, "master_link_status", "up").await;
    let lower = Proxy::to(middle.port()).await;
    replicate(&last, lower.port()).await;
    revoke(&publisher(&primary).await, "before").await;
    let bound = Duration::from_secs(3);
    let revocations = follow(&last, Some(&primary), bound);
    ready(&revocations).await;
    eventually("the message is replicated", || is_revoked(&revocations, "before")).await;
    // The replica in the middle does not know the primary's offset.
    let misled = follow(&last, Some(&middle), bound);
    eventually("the missing primary is reported", || {
        outage(&misled) == Some("replica_without_primary")
    })
    .await;
    assert!(matches!(is_unknown(&misled), Some(UnknownCause::NotReady(_))));

    lower.fall_silent();
    eventually("the view is stale", || {
        matches!(is_unknown(&revocations), Some(UnknownCause::Stale { .. }))
    })
    .await;
}

#[tokio::test]
async fn rejects_primary_with_other_data() {
    let (primary, replica, _link) = linked().await;
    let stranger = RedisServer::start();
    revoke(&publisher(&primary).await, "before").await;
    wait_for_info(&replica, "master_link_status", "up").await;
    let revocations = follow(&replica, Some(&stranger), Duration::from_secs(60));
    eventually("the missing primary is reported", || {
        outage(&revocations) == Some("replica_without_primary")
    })
    .await;
    eventually("the message is read", || is_revoked(&revocations, "before")).await;
    assert!(matches!(is_unknown(&revocations), Some(UnknownCause::NotReady(_))));
    // A primary may confirm its own data.
    ready(&follow(&primary, Some(&primary), Duration::from_secs(60))).await;
}

/// The promoted replica reports that it is a primary, but gets no messages from the real one.
#[tokio::test]
async fn promoted_replica_is_fresh_only_if_its_primary_agrees() {
    let (primary, replica, _link) = linked().await;
    let bound = Duration::from_secs(3);
    let revocations = follow(&replica, Some(&primary), bound);
    ready(&revocations).await;
    promote(&replica).await;
    let promoted = revocations.now();
    revoke(&publisher(&primary).await, "unheard").await;
    eventually("the view is stale", || {
        matches!(is_unknown(&revocations), Some(UnknownCause::Stale { .. }))
    })
    .await;
    assert!(!is_proven_since(&revocations, promoted));
    eventually("the missing primary is reported", || {
        outage(&revocations) == Some("replica_without_primary")
    })
    .await;

    // They have exchanged roles: of two servers with one history, one is the primary.
    replicate(&primary, replica.port()).await;
    eventually("the view is fresh", || is_unknown(&revocations).is_none()).await;
    assert_eq!(outage(&revocations), None);
}
