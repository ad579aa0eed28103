//! A replica that is read: what it says holds only as of what its primary has.

use std::time::Duration;

use caracal_revocation::{Follower, Options, Revocations, Settings, Unknown};

use crate::delivery::add;
use crate::live::{eventually, is_revoked, is_unknown, publisher, ready, revoke, ring};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;

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
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_URL" => Some(replica.url()),
        "REDIS_PRIMARY_URL" => primary.map(RedisServer::url),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => None,
    });
    let mut options = Options::default();
    options.deny_after = bound;
    Follower::new(settings.unwrap().with_keys(ring()))
        .with_revocations(Revocations::new(options))
        .spawn()
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
    let mut connection = primary.connection().await;
    let start = std::time::Instant::now();
    loop {
        let mut length = redis::cmd("XLEN");
        length.arg("caracal.sessions.revoke.dead");
        let length: u64 = length.query_async(&mut connection).await.unwrap();
        if length == 1 {
            break;
        }
        assert!(start.elapsed() < crate::live::PATIENCE, "no dead letter");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
