//! A follower at work on a real Redis, and the questions that tests ask of it.

use std::time::{Duration, Instant};

use caracal_revocation::{
    Checks, Claims, Follower, Key, KeyRing, Notice, Options, Publisher, Reason, Revocations,
    RevocationsWriter, StreamId, Unknown, Verdict,
};

use crate::redis_server::RedisServer;

/// Long enough for the slowest machine: a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const ZONE: &str = "zone-1";

pub(crate) fn key(seed: u8) -> Key {
    Key::from_hex(&format!("{seed:02x}").repeat(32)).expect("a key")
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new(key(1))
}

/// A follower of the server with the usual key, ready.
pub(crate) async fn follow(server: &RedisServer) -> Revocations {
    let revocations = Follower::new(server.settings(&ring())).spawn();
    ready(&revocations).await;
    revocations
}

/// A follower whose view may be so old and no older.
pub(crate) async fn follow_within(server: &RedisServer, deny_after: Duration) -> Revocations {
    let mut options = Options::default();
    options.deny_after = deny_after;
    let follower =
        Follower::new(server.settings(&ring())).with_writer(RevocationsWriter::new(options));
    let revocations = follower.spawn();
    ready(&revocations).await;
    revocations
}

pub(crate) async fn ready(revocations: &Revocations) {
    tokio::time::timeout(PATIENCE, revocations.ready()).await.expect("the follower becomes ready");
}

pub(crate) async fn publisher(server: &RedisServer) -> Publisher {
    Publisher::connect(&server.settings(&ring())).await.expect("a publisher")
}

/// Publishes a revocation as the API does; the message's id.
pub(crate) async fn revoke(publisher: &Publisher, session: &str) -> StreamId {
    let notice = Notice::revoke(ZONE, "operator").session(session);
    publisher.publish(notice).await.expect("Redis takes the message")
}

/// The claims of a token made long after every hole that a test makes.
pub(crate) fn claims(session: &str) -> Claims {
    let mut claims = made_at(session, 4_000_000_000);
    claims.zone_id = Some(ZONE.into());
    claims
}

/// The claims of a token made in this second.
pub(crate) fn made_at(session: &str, iat: i64) -> Claims {
    Claims::new(session, iat, iat + 900)
}

pub(crate) fn verdict(revocations: &Revocations, claims: &Claims) -> Verdict {
    let mut checks = Checks::default();
    // Tests ask about tokens made long before or after the holes that they make.
    checks.lifetime = false;
    revocations.decide(claims, &checks, revocations.now())
}

pub(crate) fn is_admitted(revocations: &Revocations, session: &str) -> bool {
    matches!(verdict(revocations, &claims(session)), Verdict::Admitted(_))
}

pub(crate) fn is_revoked(revocations: &Revocations, session: &str) -> bool {
    matches!(
        verdict(revocations, &claims(session)),
        Verdict::Refused(refusal) if refusal.reason() == Reason::Revoked
    )
}

pub(crate) fn is_unknown(revocations: &Revocations) -> Option<Unknown> {
    match verdict(revocations, &claims("nobody")) {
        Verdict::Unknown(why) => Some(why),
        _ => None,
    }
}

/// Asks again and again until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Everything that is published after this has been read when it returns.
pub(crate) async fn caught_up(revocations: &Revocations, publisher: &Publisher) {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let marker = format!("marker-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    revoke(publisher, &marker).await;
    eventually("the marker is applied", || is_revoked(revocations, &marker)).await;
}
