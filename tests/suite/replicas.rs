//! A replica that is read: what it says holds only as of what its primary has.

use std::time::Duration;

use caracal_revocation::{Follower, Options, Revocations, Settings, Unknown};

use crate::delivery::add;
use crate::live::{eventually, is_revoked, is_unknown, publisher, ready, revoke, ring};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;
use crate::tls::{LETTERS, allow};

/// A primary, and a replica whose link to it goes through a proxy.
async fn linked() -> (RedisServer, RedisServer, Proxy) {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    let link = Proxy::to(primary.port()).await;
    let mut connection = replica.connection().await;
    let mut command = redis::cmd("REPLICAOF");
    command.arg("127.0.0.1").arg(link.port());
    command.exec_async(&mut connection).await.unwrap();
    (primary, replica, link)
}

fn follow(replica: &RedisServer, primary: Option<&RedisServer>, bound: Duration) -> Revocations {
    follow_asking(replica, primary.map(RedisServer::url), bound)
}

fn follow_asking(replica: &RedisServer, primary: Option<String>, bound: Duration) -> Revocations {
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_URL" => Some(replica.url()),
        "REDIS_PRIMARY_URL" => primary.clone(),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => None,
    });
    let mut options = Options::default();
    options.deny_after = bound;
    Follower::new(settings.unwrap().with_keys(ring()))
        .with_revocations(Revocations::new(options))
        .spawn()
}

async fn dead_letters(server: &RedisServer) -> u64 {
    let mut length = redis::cmd("XLEN");
    length.arg("caracal.sessions.revoke.dead");
    length.query_async(&mut server.connection().await).await.unwrap()
}

#[tokio::test]
async fn a_replica_whose_link_hangs_is_stale_although_it_answers() {
    let (primary, replica, link) = linked().await;
    let publisher = publisher(&primary).await;
    revoke(&publisher, "before").await;
    let revocations = follow(&replica, Some(&primary), Duration::from_secs(3));
    ready(&revocations).await;
    eventually("it is replicated", || is_revoked(&revocations, "before")).await;
    // Idle, and so fresh: the primary has no more than the replica.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(is_unknown(&revocations), None);

    link.fall_silent();
    revoke(&publisher, "unheard").await;
    eventually("the view is stale", || {
        matches!(is_unknown(&revocations), Some(Unknown::Stale { .. }))
    })
    .await;
    assert!(!is_revoked(&revocations, "unheard"));
    assert_eq!(revocations.readiness(revocations.now()).outage, None, "the replica answers");

    link.redirect(primary.port());
    eventually("what was missed is read", || is_revoked(&revocations, "unheard")).await;
    eventually("the view is fresh", || is_unknown(&revocations).is_none()).await;
    assert_eq!(revocations.horizon(), None);
}

#[tokio::test]
async fn dead_letters_of_a_replicas_reader_go_to_the_primary() {
    let (primary, replica, _link) = linked().await;
    let revocations = follow(&replica, Some(&primary), Duration::from_secs(60));
    ready(&revocations).await;
    add(&primary, "caracal.sessions.revoke", &[(b"sid", b"unsigned")]).await;
    let start = std::time::Instant::now();
    while dead_letters(&primary).await == 0 {
        assert!(start.elapsed() < crate::live::PATIENCE, "no dead letter");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_user_at_the_primary_needs_no_more_than_is_documented() {
    let (primary, replica, _link) = linked().await;
    revoke(&publisher(&primary).await, "before").await;
    allow(&primary, "asker", "+info").await;
    allow(&primary, "keeper", &format!("+info {LETTERS}")).await;
    allow(&primary, "nobody", "-@all").await;
    let at = |user: &str| Some(format!("redis://{user}:secret@127.0.0.1:{}", primary.port()));
    let minute = Duration::from_secs(60);

    let nobody = follow_asking(&replica, at("nobody"), minute);
    let asker = follow_asking(&replica, at("asker"), minute);
    ready(&asker).await;
    eventually("it is replicated", || is_revoked(&asker, "before")).await;
    add(&primary, "caracal.sessions.revoke", &[(b"sid", b"unsigned")]).await;
    revoke(&publisher(&primary).await, "after").await;
    eventually("it reads on", || is_revoked(&asker, "after")).await;
    assert_eq!(dead_letters(&primary).await, 0);
    // It reads, and so knows what is revoked; how complete that is, it cannot tell.
    eventually("it reads too", || is_revoked(&nobody, "after")).await;
    assert!(matches!(is_unknown(&nobody), Some(Unknown::NotReady(_))));

    let keeper = follow_asking(&replica, at("keeper"), minute);
    ready(&keeper).await;
    let start = std::time::Instant::now();
    while dead_letters(&primary).await == 0 {
        assert!(start.elapsed() < crate::live::PATIENCE, "no dead letter");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
