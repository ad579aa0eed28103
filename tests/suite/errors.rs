//! Redis' failures as `docs/outages.md` describes them: the follower names each cause, logs it
//! once, never takes it for a revocation or a gap, and recovers without intervention.

use std::io::Write;
use std::sync::{Arc, Mutex};

use caracal_revocation::state::OutageCause;
use caracal_revocation::{Follower, Revocations};
use tokio::net::TcpListener;

use crate::live::{eventually, is_admitted, is_revoked, publisher, ready, revoke, ring};
use crate::proxy::Proxy;
use crate::redis_server::{RedisServer, settings};

/// The log of this process since its creation; each test has a process of its own.
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

fn outage(revocations: &Revocations) -> Option<OutageCause> {
    revocations.readiness(revocations.now()).outage
}

async fn recovers(server: &RedisServer, revocations: &Revocations, session: &str) {
    revoke(&publisher(server).await, session).await;
    eventually("the stream is read again", || is_revoked(revocations, session)).await;
    assert_eq!(outage(revocations), None);
    assert_eq!(revocations.horizon(), None, "an outage is not a gap");
}

#[tokio::test]
async fn names_and_logs_each_redis_error_once_and_recovers() {
    let logged = Logged::from_now();
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    ready(&revocations).await;
    for (answer, cause) in [
        ("LOADING Redis is loading the dataset in memory", OutageCause::Loading),
        ("MOVED 866 127.0.0.1:7001", OutageCause::Moved),
        ("CLUSTERDOWN The cluster is down", OutageCause::Moved),
        ("MASTERDOWN Link with MASTER is down", OutageCause::MasterDown),
        ("NOPERM this user has no permissions", OutageCause::Forbidden),
        ("NOAUTH Authentication required.", OutageCause::Login),
        ("WRONGTYPE Operation against a key", OutageCause::Reply),
        ("ERR max number of clients reached", OutageCause::Other),
    ] {
        proxy.answer(answer);
        eventually(answer, || outage(&revocations) == Some(cause)).await;
        assert!(is_admitted(&revocations, "anybody"), "within the bound: {answer}");
        // None of these attempts is logged.
        let errors = proxy.errors();
        eventually("more attempts fail", || proxy.errors() >= errors + 5).await;
        proxy.redirect(server.port());
        recovers(&server, &revocations, answer).await;
        let count = logged.lines_with(&format!("cause=\"{}\"", cause.label()));
        assert_eq!(count, 1, "{answer}: one outage is logged once");
    }
    assert!(logged.lines_with("give the user the rights") > 0, "the log names the action");
}

#[tokio::test]
async fn silent_partition_is_a_timeout() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let revocations = Follower::new(settings(&proxy.url(), &ring())).spawn();
    ready(&revocations).await;
    proxy.fall_silent();
    revoke(&publisher(&server).await, "meanwhile").await;
    eventually("the timeout is detected", || outage(&revocations) == Some(OutageCause::Timeout))
        .await;
    assert!(!is_revoked(&revocations, "meanwhile"));
    proxy.redirect(server.port());
    eventually("the missed message is read", || is_revoked(&revocations, "meanwhile")).await;
    recovers(&server, &revocations, "after").await;
}

#[tokio::test]
async fn recovers_once_the_wrong_password_is_set_on_redis() {
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    let url = format!("redis://:later@127.0.0.1:{}", server.port());
    let revocations = Follower::new(settings(&url, &ring())).spawn();
    eventually("the wrong password is reported", || {
        outage(&revocations) == Some(OutageCause::Login)
    })
    .await;
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
async fn hung_handshake_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://127.0.0.1:{}", listener.local_addr().unwrap().port());
    // Accepts connections, and sends nothing.
    let taking = tokio::spawn(async move {
        let mut taken = Vec::new();
        loop {
            taken.push(listener.accept().await.unwrap());
        }
    });
    let revocations = Follower::new(settings(&url, &ring())).spawn();
    eventually("the timeout is reported", || outage(&revocations) == Some(OutageCause::Timeout))
        .await;
    taking.abort();
}

#[tokio::test]
async fn reads_server_that_rejects_writes() {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    let mut connection = replica.connection().await;
    let mut command = redis::cmd("REPLICAOF");
    command.arg("127.0.0.1").arg(primary.port());
    command.exec_async(&mut connection).await.unwrap();
    let logged = Logged::from_now();
    revoke(&publisher(&primary).await, "before").await;
    let revocations = Follower::new(replica.settings(&ring())).spawn();
    eventually("the message is replicated", || is_revoked(&revocations, "before")).await;
    eventually("the start logs that dead letters are off", || {
        logged.lines_with("dead letters are off") == 1
    })
    .await;
    let cause = outage(&revocations);
    assert_eq!(
        cause,
        Some(OutageCause::ReplicaWithoutPrimary),
        "missing dead letters are no outage"
    );
}
