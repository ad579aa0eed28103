//! A follower with the documented rights, and with each of them removed.

use std::io::Write;
use std::sync::{Arc, Mutex};

use caracal_revocation::admin::acl;
use caracal_revocation::state::OutageCause;
use caracal_revocation::stream::Canary;
use caracal_revocation::wire::Stream;
use caracal_revocation::{Follower, Revocations};
use tracing_subscriber::util::SubscriberInitExt;

use crate::delivery::add;
use crate::live::{eventually, is_revoked, publisher, ready, revoke, ring};
use crate::redis_server::{RedisServer, settings};
use crate::tls::allow;

/// The captured log.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Captures this thread's log while the guard lives.
pub(crate) fn captured() -> (Lines, impl Sized) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(move || writer.clone());
    let guard = subscriber.finish().set_default();
    (lines, guard)
}

fn follower(server: &RedisServer, user: &str) -> Follower {
    let url = format!("redis://{user}:secret@127.0.0.1:{}", server.port());
    Follower::new(settings(&url, &ring()))
}

fn outage(revocations: &Revocations) -> Option<OutageCause> {
    revocations.readiness(revocations.now()).outage
}

pub(crate) async fn denied_commands(server: &RedisServer) -> Vec<redis::Value> {
    let mut connection = server.connection().await;
    redis::cmd("ACL").arg("LOG").query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn documented_rights_suffice_for_a_follower() {
    let server = RedisServer::start();
    allow(&server, "follower", &format!("{} {} {}", acl::FOLLOWER, acl::RECEIPTS, acl::CANARY))
        .await;
    let publisher = publisher(&server).await;
    revoke(&publisher, "ar-1").await;
    add(&server, Stream::SessionsRevoke.name(), &[(b"sid", b"forged")]).await;
    let revocations = follower(&server, "follower").with_receipts("gw-1").spawn();
    let url = format!("redis://follower:secret@127.0.0.1:{}", server.port());
    let canary = Canary::new(&settings(&url, &ring())).spawn();
    ready(&revocations).await;
    assert!(is_revoked(&revocations, "ar-1"));
    let mut connection = server.connection().await;
    for key in ["caracal.sessions.revoke.dead", "caracal.revocation.receipt:gw-1"] {
        let start = std::time::Instant::now();
        loop {
            let is_there: bool =
                redis::cmd("EXISTS").arg(key).query_async(&mut connection).await.unwrap();
            if is_there {
                break;
            }
            assert!(start.elapsed() < crate::live::TIMEOUT, "{key} was not written");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    eventually("a canary is seen", || canary.is_alive()).await;
    // A second follower, which finds the dead letter already written, uses other commands.
    let second = follower(&server, "follower").spawn();
    ready(&second).await;
    add(&server, Stream::KeysInvalidate.name(), &[(b"zone_id", b"forged")]).await;
    eventually("both have read the message", || {
        [&revocations, &second].iter().all(|view| outage(view).is_none())
    })
    .await;
    let denied = denied_commands(&server).await;
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn log_names_each_missing_right() {
    for right in acl::FOLLOWER.split(' ') {
        let server = RedisServer::start();
        revoke(&publisher(&server).await, "ar-1").await;
        let rest: Vec<_> = acl::FOLLOWER.split(' ').filter(|word| *word != right).collect();
        allow(&server, "less", &rest.join(" ")).await;
        let (lines, _guard) = captured();
        let revocations = follower(&server, "less").spawn();
        let command = right.strip_prefix('+');
        let names_rights = |text: &str, rights: &str| {
            let is_named = command.is_none_or(|name| text.contains(name));
            text.lines().any(|line| line.contains("NOPERM") && line.contains(rights)) && is_named
        };
        if acl::FOLLOW.split(' ').any(|word| word == right) {
            eventually(right, || outage(&revocations) == Some(OutageCause::Forbidden)).await;
            eventually(right, || names_rights(&lines.text(), acl::FOLLOW)).await;
            assert!(!revocations.readiness(revocations.now()).is_ready(), "{right}");
            continue;
        }
        ready(&revocations).await;
        assert!(is_revoked(&revocations, "ar-1"), "{right}");
        if acl::SETTINGS == right {
            eventually(right, || lines.text().contains("CONFIG GET is not allowed")).await;
        } else {
            // The log names the rights at the start, before there is a dead letter.
            eventually(right, || names_rights(&lines.text(), acl::DEAD_LETTERS)).await;
            assert!(lines.text().contains("dead letters are off"), "{right}");
        }
    }
}

#[tokio::test]
async fn log_names_missing_rights_of_canary_receipts_and_database() {
    let server = RedisServer::start();
    for (line, message) in
        [(acl::CANARY, "a canary was not seen"), (acl::RECEIPTS, "receipts are not written")]
    {
        for right in line.split(' ').filter(|right| !acl::FOLLOW.contains(right)) {
            let rest: Vec<_> = line.split(' ').filter(|word| *word != right).collect();
            let rights = format!("{} {}", acl::FOLLOW, rest.join(" "));
            allow(&server, "less", &rights).await;
            let (lines, _guard) = captured();
            let _revocations = follower(&server, "less").with_receipts("gw-1").spawn();
            let url = format!("redis://less:secret@127.0.0.1:{}", server.port());
            let _canary = Canary::new(&settings(&url, &ring())).spawn();
            eventually(right, || {
                let text = lines.text();
                let mut entries = text.lines().filter(|entry| entry.contains(message));
                entries.any(|entry| entry.contains("NOPERM") && entry.contains(line))
            })
            .await;
        }
    }
    allow(&server, "less", acl::FOLLOW).await;
    let (lines, _guard) = captured();
    let url = format!("redis://less:secret@127.0.0.1:{}/3", server.port());
    let revocations = Follower::new(settings(&url, &ring())).spawn();
    eventually("the log names the right to select a database", || {
        lines.text().lines().any(|line| line.contains("NOPERM") && line.contains(acl::SELECT))
    })
    .await;
    allow(&server, "less", &format!("{} {}", acl::FOLLOW, acl::SELECT)).await;
    ready(&revocations).await;
}
