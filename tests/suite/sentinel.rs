//! Redis Sentinel: the follower reads the primary that a majority of the sentinels reports, and
//! does not trust a server that they have left.

use std::time::Duration;

use caracal_revocation::admin::acl;
use caracal_revocation::state::{OutageCause, UnknownCause};
use caracal_revocation::{Publisher, Revocations};
use caracal_test_support::sentinel::{MASTER, Sentinel};

use crate::live::{caught_up, eventually, is_admitted, is_revoked, is_unknown, ready, revoke};
use crate::redis_server::RedisServer;
use crate::sentinel_fleet::{follow, list, pair, proxies, settings};

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "everysec"];

async fn three(primary: &RedisServer, more: &str) -> Vec<Sentinel> {
    let sentinels: Vec<_> =
        (0..3).map(|_| Sentinel::start(primary.port(), more).unwrap()).collect();
    for sentinel in &sentinels {
        sentinel.wait_for_peers(2).await;
    }
    sentinels
}

fn ports(sentinels: &[Sentinel]) -> String {
    list(sentinels.iter().map(|sentinel| sentinel.port()))
}

fn is_stale(revocations: &Revocations) -> bool {
    matches!(is_unknown(revocations), Some(UnknownCause::Stale { .. }))
}

fn outage(revocations: &Revocations) -> Option<OutageCause> {
    revocations.readiness(revocations.now()).outage
}

#[tokio::test]
async fn follows_new_primary_after_the_old_is_killed() {
    let (mut primary, replica) = pair(&DURABLE).await;
    let sentinels = three(&primary, "").await;
    let settings = settings(&ports(&sentinels), &[]).unwrap();
    let revocations = follow(settings.clone(), Duration::from_secs(60));
    ready(&revocations).await;
    let publisher = Publisher::connect(&settings).await.unwrap();
    revoke(&publisher, "before").await;
    caught_up(&revocations, &publisher).await;

    primary.kill();
    eventually("the outage is detected", || outage(&revocations).is_some()).await;
    assert!(is_admitted(&revocations, "anybody"), "within the bound");
    let start = std::time::Instant::now();
    // The existing publisher finds the new primary by itself.
    while publisher
        .publish(caracal_revocation::wire::MessageBuilder::revoke("z", "o").session("after"))
        .await
        .is_err()
    {
        assert!(start.elapsed() < crate::live::TIMEOUT, "no new primary");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("a message on the new primary is read", || is_revoked(&revocations, "after")).await;
    eventually("the outage is over", || outage(&revocations).is_none()).await;
    assert!(is_revoked(&revocations, "before"));
    assert_eq!(is_unknown(&revocations), None);
    assert_eq!(revocations.horizon(), None, "the replica had every proven entry");
    let mut connection = replica.connection().await;
    let role: redis::Value = redis::cmd("ROLE").query_async(&mut connection).await.unwrap();
    assert!(format!("{role:?}").contains("master"), "{role:?}");
}

/// Creates a user on a server.
async fn allow(server: &RedisServer, user: &str) {
    let mut connection = server.connection().await;
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg(user.split(' ').collect::<Vec<_>>());
    command.exec_async(&mut connection).await.unwrap();
}

async fn cut_off(server: &RedisServer, user: &str) {
    let mut connection = server.connection().await;
    redis::cmd("ACL")
        .arg("SETUSER")
        .arg(user)
        .arg("off")
        .exec_async(&mut connection)
        .await
        .unwrap();
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("USER").arg(user);
    let _: u64 = kill.query_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn old_primary_without_majority_is_stale_beyond_the_bound() {
    let (primary, replica) = pair(&DURABLE).await;
    // Gives the sentinels users of their own, so that they can be cut off.
    for server in [&primary, &replica] {
        allow(server, "one on >pw ~* &* +@all").await;
        allow(server, "rest on >pw ~* &* +@all").await;
        allow(server, "default -ping -publish -subscribe").await;
    }
    // The first sentinel will stay with the old primary and the reader. The others reach it only
    // through a proxy.
    let first_proxy = crate::proxy::Proxy::to(1).await;
    let login =
        |user| format!("sentinel auth-user {MASTER} {user}\nsentinel auth-pass {MASTER} pw");
    let announced = format!(
        "{}\nsentinel announce-ip 127.0.0.1\nsentinel announce-port {}",
        login("one"),
        first_proxy.port()
    );
    let mut sentinels = vec![Sentinel::start(primary.port(), &announced).unwrap()];
    first_proxy.redirect(sentinels[0].port());
    sentinels.extend((0..2).map(|_| Sentinel::start(primary.port(), &login("rest")).unwrap()));
    for sentinel in &sentinels {
        sentinel.wait_for_peers(2).await;
    }
    let seen = proxies(&sentinels).await;
    let settings = settings(&list(seen.iter().map(|proxy| proxy.port())), &[]).unwrap();
    let bound = Duration::from_secs(3);
    let revocations = follow(settings, bound);
    ready(&revocations).await;
    let at_old = crate::live::publisher(&primary).await;
    revoke(&at_old, "before").await;
    caught_up(&revocations, &at_old).await;

    // Partition: reader, primary and one sentinel on one side, replica and the other two on the
    // other.
    first_proxy.fall_silent();
    seen[1].fall_silent();
    seen[2].fall_silent();
    cut_off(&replica, "one").await;
    cut_off(&primary, "rest").await;
    let cut = std::time::Instant::now();
    eventually("the view is stale", || is_stale(&revocations)).await;
    assert!(cut.elapsed() < bound + Duration::from_secs(3), "{:?}", cut.elapsed());
    revoke(&at_old, "heard").await;
    eventually("the old primary is still read", || is_revoked(&revocations, "heard")).await;
    assert!(!is_admitted(&revocations, "anybody"));

    // On the other side the replica becomes the primary, and a session is revoked.
    let start = std::time::Instant::now();
    let mut connection = replica.connection().await;
    loop {
        let role: redis::Value = redis::cmd("ROLE").query_async(&mut connection).await.unwrap();
        if format!("{role:?}").contains("master") {
            break;
        }
        assert!(start.elapsed() < crate::live::TIMEOUT, "{role:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    revoke(&crate::live::publisher(&replica).await, "there").await;
    assert!(is_stale(&revocations), "a minority does not make the view fresh");
    assert!(!is_revoked(&revocations, "there"));

    // One more sentinel makes a majority: it knows of the failover.
    seen[1].redirect(sentinels[1].port());
    eventually("the new primary is read", || is_revoked(&revocations, "there")).await;
    seen[2].redirect(sentinels[2].port());
    eventually("the view is fresh", || is_unknown(&revocations).is_none()).await;
    assert!(is_revoked(&revocations, "heard"), "known revocations stay");
}

#[tokio::test]
async fn finds_late_sentinels_and_reports_unknown_primary_name() {
    let (primary, _replica) = pair(&DURABLE).await;
    let silent = [
        crate::proxy::Proxy::to(1).await,
        crate::proxy::Proxy::to(1).await,
        crate::proxy::Proxy::to(1).await,
    ];
    let list = list(silent.iter().map(|proxy| proxy.port()));
    let revocations = follow(settings(&list, &[]).unwrap(), Duration::from_secs(60));
    eventually("no sentinel is reached", || {
        matches!(outage(&revocations), Some(OutageCause::Unreachable | OutageCause::Timeout))
    })
    .await;
    assert!(is_unknown(&revocations).is_some());
    let wrong = [("REDIS_SENTINEL_MASTER", "another")];
    let lost = follow(settings(&list, &wrong).unwrap(), Duration::from_secs(60));

    let sentinels = three(&primary, "").await;
    for (proxy, sentinel) in silent.iter().zip(&sentinels) {
        proxy.redirect(sentinel.port());
    }
    ready(&revocations).await;
    eventually("the unknown primary name is reported", || {
        outage(&lost) == Some(OutageCause::NoPrimary)
    })
    .await;
    let error = Publisher::connect(&settings(&list, &wrong).unwrap()).await.map(drop);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("does not know a primary named \"another\""), "{message}");
    assert!(is_unknown(&lost).is_some());
}

#[tokio::test]
async fn sentinels_and_servers_use_separate_logins() {
    let (primary, _replica) = pair(&DURABLE).await;
    let rights = format!("reader on >pw-redis resetkeys -@all {}", acl::FOLLOW);
    allow(&primary, &rights).await;
    crate::live::revoke(&crate::live::publisher(&primary).await, "before").await;
    let user = format!(
        "user default off\nuser watcher on >pw-sentinel resetkeys resetchannels -@all {}",
        acl::SENTINEL
    );
    let sentinel = Sentinel::start(primary.port(), &user).unwrap();
    let with = |password| {
        let logins = [
            ("REDIS_USER", "reader"),
            ("REDIS_PASSWORD", "pw-redis"),
            ("REDIS_SENTINEL_USER", "watcher"),
            ("REDIS_SENTINEL_PASSWORD", password),
        ];
        let list = format!("127.0.0.1:{}", sentinel.port());
        follow(settings(&list, &logins).unwrap(), Duration::from_secs(60))
    };
    let revocations = with("pw-sentinel");
    ready(&revocations).await;
    eventually("the message is read", || is_revoked(&revocations, "before")).await;
    let wrong = with("wrong");
    eventually("the wrong login is reported", || outage(&wrong) == Some(OutageCause::Login)).await;
}

#[tokio::test]
async fn sentinel_that_marks_primary_down_confirms_nothing() {
    let (logged, _until_the_end) = crate::snapshot::Logged::begin();
    // The server requires a password that the sentinel does not have, so the sentinel marks it as
    // down.
    let primary = RedisServer::start_with(&["--requirepass", "pw"]);
    let sentinel = Sentinel::start(primary.port(), "").unwrap();
    let mut connection = sentinel.connection().await;
    let mut flags = String::new();
    while !flags.contains("s_down") {
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(MASTER);
        let fields: std::collections::HashMap<String, String> =
            command.query_async(&mut connection).await.unwrap();
        flags.clone_from(&fields["flags"]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let more = [("REDIS_PASSWORD", "pw")];
    let settings = settings(&list([sentinel.port()].into_iter()), &more).unwrap();
    let revocations = follow(settings, Duration::from_secs(60));
    eventually("the cause of the outage is reported", || {
        outage(&revocations) == Some(OutageCause::NoPrimary)
    })
    .await;
    assert!(!revocations.readiness(revocations.now()).is_ready());
    let lines = logged.lines("cannot be proven fresh");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("no majority") && lines[0].contains("no_primary"), "{lines:?}");

    let mut set = redis::cmd("SENTINEL");
    set.arg("SET").arg(MASTER).arg("auth-pass").arg("pw");
    set.exec_async(&mut connection).await.unwrap();
    ready(&revocations).await;
    eventually("the outage is over", || outage(&revocations).is_none()).await;
}
