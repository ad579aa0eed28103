//! Redis Cluster: each stream is read from the master that owns its slot, also after the slot
//! moves.

use std::time::Duration;

use caracal_revocation::admin::acl;
use caracal_revocation::effects::EffectRunner;
use caracal_revocation::state::{OutageCause, ReloadStart, RevocationsWriter, UnknownCause};
use caracal_revocation::stream::Canary;
use caracal_revocation::wire::{MessageBuilder, Stream};
use caracal_revocation::{Follower, Publisher, Revocations};

use crate::cluster_fleet::{Cluster, HOME, Move, settings};
use crate::live::{
    TIMEOUT, ZONE, caught_up, eventually, eventually_horizon, is_admitted, is_revoked, is_unknown,
    ready, revoke,
};
use crate::sentinel_fleet::follow;

fn outage(revocations: &Revocations) -> Option<OutageCause> {
    revocations.readiness(revocations.now()).outage
}

async fn length(cluster: &Cluster, key: &str) -> u64 {
    let mut connection = cluster.connection(key).await;
    redis::cmd("XLEN").arg(key).query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn follows_and_publishes_streams_on_several_masters() {
    let cluster = Cluster::start().await;
    let follower = Follower::new(cluster.settings()).with_receipts("gw-1");
    let revocations = follower.spawn();
    ready(&revocations).await;
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    revoke(&publisher, "ar-1").await;
    eventually("ar-1 is revoked", || is_revoked(&revocations, "ar-1")).await;
    assert!(is_admitted(&revocations, "ar-2"));
    // Another stream, on another master.
    let before = revocations.zone(ZONE);
    publisher.publish(MessageBuilder::keys(ZONE)).await.unwrap();
    eventually("keys are forgotten", || {
        revocations.zone(ZONE).keys_generation != before.keys_generation
    })
    .await;
    publisher.publish(MessageBuilder::policies(ZONE)).await.unwrap();
    eventually("policies are reloaded", || {
        revocations.zone(ZONE).policy_generation != before.policy_generation
    })
    .await;

    for stream in [Stream::SessionsRevoke, Stream::PolicyInvalidate] {
        let mut connection = cluster.connection(stream.name()).await;
        let mut add = redis::cmd("XADD");
        add.arg(stream.name()).arg("*").arg("sid").arg("unsigned");
        add.exec_async(&mut connection).await.unwrap();
        let start = std::time::Instant::now();
        while length(&cluster, &format!("{stream}.dead")).await != 1 {
            assert!(start.elapsed() < TIMEOUT, "no dead letter of {stream}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let canary = Canary::new(&cluster.settings()).every(Duration::from_millis(200)).spawn();
    eventually("the canary is seen", || canary.is_alive()).await;

    let mut connection = cluster.connection("caracal.revocation.receipt:gw-1").await;
    let mut exists = redis::cmd("EXISTS");
    exists.arg("caracal.revocation.receipt:gw-1");
    assert_eq!(exists.query_async::<u64>(&mut connection).await.unwrap(), 1, "a receipt");

    // Effects run once per fleet: the group, failure counts and marks are in slots of their own.
    let (sender, mut done) = tokio::sync::mpsc::unbounded_channel();
    let runner = EffectRunner::new(&cluster.settings(), Stream::SessionsRevoke, "sts-revocation");
    let work = tokio::spawn(runner.with_dedup().run(
        move |delivery| {
            let sender = sender.clone();
            async move {
                let _ = sender.send(delivery.id());
                Ok(())
            }
        },
        std::future::pending(),
    ));
    let start = std::time::Instant::now();
    let effect = loop {
        revoke(&publisher, "ar-3").await;
        if let Ok(Some(id)) = tokio::time::timeout(Duration::from_millis(300), done.recv()).await {
            break id;
        }
        assert!(start.elapsed() < TIMEOUT && !work.is_finished(), "no effect");
    };
    assert!(effect.ms > 0);
    work.abort();
    assert_eq!((outage(&revocations), revocations.horizon()), (None, None));
}

#[tokio::test]
async fn reload_reads_the_streams_of_every_master() {
    let cluster = Cluster::start().await;
    let follower = Follower::new(cluster.settings());
    let reload = follower.reload_handle();
    let revocations = follower.spawn();
    ready(&revocations).await;
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    // Each stream is on a master of its own.
    revoke(&publisher, "ar-1").await;
    publisher.publish(MessageBuilder::keys(ZONE)).await.unwrap();
    publisher.publish(MessageBuilder::policies(ZONE)).await.unwrap();
    caught_up(&revocations, &publisher).await;
    let sent: u64 = length(&cluster, Stream::SessionsRevoke.name()).await
        + length(&cluster, Stream::KeysInvalidate.name()).await
        + length(&cluster, Stream::PolicyInvalidate.name()).await;
    assert_eq!(reload.start(), ReloadStart::Accepted);
    let last = || revocations.follower().reload.expect("a reload has begun");
    eventually("the reload ends", || last().ended.is_some()).await;
    assert!(last().is_complete(), "{:?}", last());
    assert_eq!(last().messages, sent);
    assert!(is_revoked(&revocations, "ar-1"));
    assert_eq!((outage(&revocations), revocations.horizon()), (None, None));
}

#[tokio::test]
async fn follows_moved_slot_without_suspecting_loss() {
    let cluster = Cluster::start().await;
    let mut strict = caracal_revocation::state::Options::strict();
    strict.deny_after = Duration::from_secs(30);
    let state = RevocationsWriter::new(strict);
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    revoke(&publisher, "before").await;
    let revocations = Follower::new(cluster.settings()).with_writer(state).spawn();
    ready(&revocations).await;
    caught_up(&revocations, &publisher).await;
    let horizon = revocations.horizon();
    let losses = revocations.losses();

    let slot = Move::of(&cluster, Stream::SessionsRevoke, HOME, 0);
    slot.begin().await;
    // During the move, write to the stream on its new master.
    let mut there = cluster.masters[0].connection().await;
    let mut commands = redis::pipe();
    let fields = MessageBuilder::revoke(ZONE, "operator").session("on-its-way");
    let fields = fields.into_fields(Some(&crate::live::key(1)), std::time::SystemTime::now());
    let add =
        commands.cmd("ASKING").ignore().cmd("XADD").arg(Stream::SessionsRevoke.name()).arg("*");
    for (name, value) in &fields {
        add.arg(name).arg(value);
    }
    commands.exec_async(&mut there).await.unwrap();
    eventually("the message is read", || is_revoked(&revocations, "on-its-way")).await;
    slot.end().await;
    // A publisher that knows the old master finds the new one.
    revoke(&publisher, "after").await;
    eventually("the stream is followed", || is_revoked(&revocations, "after")).await;
    eventually("the outage is over", || outage(&revocations).is_none()).await;
    caught_up(&revocations, &publisher).await;
    assert_eq!(is_unknown(&revocations), None);
    assert_eq!(revocations.losses(), losses, "a move loses nothing");
    assert_eq!(revocations.horizon(), horizon);
}

#[tokio::test]
async fn detects_gap_in_stream_that_moved_with_loss() {
    let cluster = Cluster::start().await;
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    revoke(&publisher, "before").await;
    let revocations = Follower::new(cluster.settings()).spawn();
    ready(&revocations).await;
    caught_up(&revocations, &publisher).await;
    assert_eq!(revocations.horizon(), None);
    let slot = Move::of(&cluster, Stream::SessionsRevoke, HOME, 0);
    let mut home = cluster.masters[HOME].connection().await;
    let mut command = redis::cmd("DEL");
    command.arg(Stream::SessionsRevoke.name());
    command.exec_async(&mut home).await.unwrap();
    slot.begin().await;
    slot.end().await;
    revoke(&publisher, "after").await;
    eventually_horizon(&revocations).await;
    eventually("the stream is followed", || is_revoked(&revocations, "after")).await;
    assert!(is_revoked(&revocations, "before"), "known revocations stay");
}

#[tokio::test]
async fn follows_replica_that_replaces_dead_master() {
    let mut cluster = Cluster::start().await;
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    let revocations = follow(cluster.settings(), Duration::from_secs(60));
    ready(&revocations).await;
    revoke(&publisher, "before").await;
    caught_up(&revocations, &publisher).await;
    cluster.masters[HOME].kill();
    eventually("the outage is detected", || outage(&revocations).is_some()).await;
    assert!(is_admitted(&revocations, "anybody"), "within the bound");
    let start = std::time::Instant::now();
    while publisher.publish(MessageBuilder::revoke(ZONE, "o").session("after")).await.is_err() {
        assert!(start.elapsed() < TIMEOUT, "no new master");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("a message on the new master is read", || is_revoked(&revocations, "after")).await;
    eventually("the outage is over", || outage(&revocations).is_none()).await;
    assert!(is_revoked(&revocations, "before"));
    assert_eq!(is_unknown(&revocations), None);
}

#[tokio::test]
async fn view_is_stale_when_only_a_minority_is_reachable() {
    let cluster = Cluster::start().await;
    // Move all streams to the master that stays reachable.
    for stream in [Stream::PolicyInvalidate, Stream::AgentsLifecycle, Stream::DelegationsInvalidate]
    {
        let slot = Move::of(&cluster, stream, 0, HOME);
        slot.begin().await;
        slot.end().await;
    }
    let revocations = follow(cluster.settings(), Duration::from_secs(3));
    ready(&revocations).await;
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    caught_up(&revocations, &publisher).await;
    // Two masters hang. The third still answers, but is not trusted.
    let mut home = cluster.masters[HOME].connection().await;
    let mut patient = redis::cmd("CONFIG");
    patient.arg("SET").arg("cluster-node-timeout").arg(120_000);
    patient.exec_async(&mut home).await.unwrap();
    cluster.masters[0].freeze();
    cluster.masters[1].freeze();
    eventually("the view is stale", || {
        matches!(is_unknown(&revocations), Some(UnknownCause::Stale { .. }))
    })
    .await;
    let length: u64 =
        redis::cmd("XLEN").arg(Stream::SessionsRevoke.name()).query_async(&mut home).await.unwrap();
    assert!(length > 0, "the third master still answers");
    eventually("the cause of the outage is reported", || {
        outage(&revocations) == Some(OutageCause::NoPrimary)
    })
    .await;
    cluster.masters[0].thaw();
    cluster.masters[1].thaw();
    eventually("the view is fresh", || is_unknown(&revocations).is_none()).await;
    eventually("the outage is over", || outage(&revocations).is_none()).await;
}

#[tokio::test]
async fn hung_node_delays_no_dead_letters_of_others() {
    let cluster = Cluster::start().await;
    let revocations = Follower::new(cluster.settings()).spawn();
    ready(&revocations).await;
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    caught_up(&revocations, &publisher).await;
    let mut home = cluster.masters[HOME].connection().await;
    for node in &cluster.masters[1..] {
        let mut patient = redis::cmd("CONFIG");
        patient.arg("SET").arg("cluster-node-timeout").arg(120_000);
        patient.exec_async(&mut node.connection().await).await.unwrap();
    }
    // Both streams are on the last master; the dead letters of the first are not.
    cluster.masters[0].freeze();
    for stream in [Stream::KeysInvalidate, Stream::SessionsRevoke] {
        let mut add = redis::cmd("XADD");
        add.arg(stream.name()).arg("*").arg("sid").arg("unsigned");
        add.exec_async(&mut home).await.unwrap();
        // Wait until the dead letter is on its way to the writer.
        caught_up(&revocations, &publisher).await;
    }
    let start = std::time::Instant::now();
    while length(&cluster, &format!("{}.dead", Stream::SessionsRevoke)).await != 1 {
        assert!(start.elapsed() < TIMEOUT, "no dead letter");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.masters[0].thaw();
    while length(&cluster, &format!("{}.dead", Stream::KeysInvalidate)).await != 1 {
        assert!(start.elapsed() < TIMEOUT, "no dead letter of the first stream");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn reaches_nodes_by_preferred_host_names() {
    let (logged, _until_the_end) = crate::snapshot::Logged::begin();
    let names = ["--cluster-announce-hostname", "localhost"];
    let preferred = ["--cluster-preferred-endpoint-type", "hostname"];
    let cluster = Cluster::start_with(&[names, preferred].concat()).await;
    let revocations = Follower::new(cluster.settings()).spawn();
    ready(&revocations).await;
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    revoke(&publisher, "ar-1").await;
    eventually("ar-1 is revoked", || is_revoked(&revocations, "ar-1")).await;
    let read = logged.lines("reading from the primary that was named");
    assert_eq!(read.len(), Stream::ALL.len());
    assert!(read.iter().all(|line| line.contains("primary=localhost:")), "{read:#?}");
}

#[tokio::test]
async fn reaches_nodes_by_preferred_addresses() {
    let (logged, _until_the_end) = crate::snapshot::Logged::begin();
    // A name that does not resolve, only for people to read.
    let cluster = Cluster::start_with(&["--cluster-announce-hostname", "n.invalid"]).await;
    let revocations = Follower::new(cluster.settings()).spawn();
    ready(&revocations).await;
    let read = logged.lines("reading from the primary that was named");
    assert!(read.iter().all(|line| line.contains("primary=127.0.0.1:")), "{read:#?}");
}

#[tokio::test]
async fn least_privileged_user_follows_cluster() {
    let cluster = Cluster::start().await;
    for master in &cluster.masters {
        let mut connection = master.connection().await;
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("reader").arg("on").arg(">pw").arg("resetkeys").arg("-@all");
        for right in acl::FOLLOW.split(' ').chain(acl::CLUSTER.split(' ')) {
            command.arg(right);
        }
        command.exec_async(&mut connection).await.unwrap();
    }
    let login = [("REDIS_USER", "reader"), ("REDIS_PASSWORD", "pw")];
    let nodes = crate::sentinel_fleet::list(cluster.masters.iter().map(|master| master.port()));
    let revocations = follow(settings(&nodes, &login), Duration::from_secs(60));
    ready(&revocations).await;
    let publisher = Publisher::connect(&cluster.settings()).await.unwrap();
    revoke(&publisher, "ar-1").await;
    eventually("ar-1 is revoked", || is_revoked(&revocations, "ar-1")).await;
}
