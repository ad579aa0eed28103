//! What docs/outages.md says of each way in which Redis fails: the cause is named, said once, never
//! taken for a revocation or a loss, and recovery needs nobody.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caracal_revocation::{Follower, Outage, Revocations};
use tokio::net::TcpListener;

use crate::live::{eventually, is_admitted, is_revoked, publisher, ready, revoke, ring};
use crate::proxy::Proxy;
use crate::redis_server::{RedisServer, settings};

/// What was logged since, by this process: a test has one of its own.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    pub(crate) fn from_now() -> Self {
        let logged = Self::default();
        let writer = logged.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
            .with_writer(move || writer.clone())
            .init();
        logged
    }

    pub(crate) fn lines_with(&self, text: &str) -> usize {
        let logged = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        logged.lines().filter(|line| line.contains(text)).count()
    }
}

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn outage(revocations: &Revocations) -> Option<Outage> {
    revocations.readiness(revocations.now()).outage
}

async fn recovers(server: &RedisServer, revocations: &Revocations, session: &str) {
    revoke(&publisher(server).await, session).await;
    eventually("it is read again", || is_revoked(revocations, session)).await;
    assert_eq!(outage(revocations), None);
    assert_eq!(revocations.horizon(), None, "an outage is no loss");
}

#[tokio::test]
async fn whatever_redis_answers_is_named_said_once_and_gets_over() {
    let logged = Logged::from_now();
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    ready(&revocations).await;
    for (answer, cause) in [
        ("LOADING Redis is loading the dataset in memory", Outage::Loading),
        ("MOVED 866 127.0.0.1:7001", Outage::Moved),
        ("CLUSTERDOWN The cluster is down", Outage::Moved),
        ("MASTERDOWN Link with MASTER is down", Outage::MasterDown),
        ("NOPERM this user has no permissions", Outage::Forbidden),
        ("NOAUTH Authentication required.", Outage::Login),
        ("WRONGTYPE Operation against a key", Outage::Reply),
        ("ERR max number of clients reached", Outage::Other),
    ] {
        proxy.answer(answer);
        eventually(answer, || outage(&revocations) == Some(cause)).await;
        assert!(is_admitted(&revocations, "anybody"), "within the bound: {answer}");
        // Time for many attempts, none of which is told.
        tokio::time::sleep(Duration::from_millis(700)).await;
        proxy.redirect(server.port());
        recovers(&server, &revocations, answer).await;
        let told = logged.lines_with(&format!("cause=\"{}\"", cause.label()));
        assert_eq!(told, 1, "{answer}: an outage that comes and goes is one");
    }
    assert!(logged.lines_with("give the user the rights") > 0, "it says what to do");
}

#[tokio::test]
async fn a_partition_that_nobody_is_told_of_is_a_timeout() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    ready(&revocations).await;
    proxy.fall_silent();
    revoke(&publisher(&server).await, "meanwhile").await;
    eventually("it is noticed", || outage(&revocations) == Some(Outage::Timeout)).await;
    assert!(!is_revoked(&revocations, "meanwhile"));
    proxy.redirect(server.port());
    eventually("what was missed is read", || is_revoked(&revocations, "meanwhile")).await;
    recovers(&server, &revocations, "after").await;
}

#[tokio::test]
async fn a_wrong_password_is_named_and_enough_is_that_it_becomes_right() {
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    let url = format!("redis://:later@127.0.0.1:{}", server.port());
    let revocations = Follower::new(settings(&url, &ring())).spawn();
    eventually("it is named", || outage(&revocations) == Some(Outage::Login)).await;
    let admin = format!("redis://:right@127.0.0.1:{}", server.port());
    let client = redis::Client::open(admin).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd("CONFIG");
    command.arg("SET").arg("requirepass").arg("later");
    command.exec_async(&mut connection).await.unwrap();
    ready(&revocations).await;
    assert_eq!(outage(&revocations), None);
}

#[tokio::test]
async fn a_handshake_that_hangs_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://127.0.0.1:{}", listener.local_addr().unwrap().port());
    // Takes connections, and says nothing.
    let taking = tokio::spawn(async move {
        let mut taken = Vec::new();
        loop {
            taken.push(listener.accept().await.unwrap());
        }
    });
    let revocations = Follower::new(settings(&url, &ring())).spawn();
    eventually("it is named", || outage(&revocations) == Some(Outage::Timeout)).await;
    taking.abort();
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_read_all_the_same() {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    let mut connection = replica.connection().await;
    let mut command = redis::cmd("REPLICAOF");
    command.arg("127.0.0.1").arg(primary.port());
    command.exec_async(&mut connection).await.unwrap();
    let logged = Logged::from_now();
    revoke(&publisher(&primary).await, "before").await;
    let revocations = Follower::new(replica.settings(&ring())).spawn();
    eventually("it is replicated", || is_revoked(&revocations, "before")).await;
    eventually("the start says so", || logged.lines_with("dead letters are off") == 1).await;
    let cause = outage(&revocations);
    assert_eq!(cause, Some(Outage::ReplicaWithoutPrimary), "no outage for its dead letters");
}
