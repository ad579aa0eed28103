//! A follower on a real Redis, and helpers to publish and to check its state.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use caracal_revocation::state::{
    Checks, DenyReason, Options, RevocationsWriter, UnknownCause, Verdict,
};
use caracal_revocation::wire::{Key, KeyRing, MessageBuilder, StreamId};
use caracal_revocation::{Claims, Follower, Publisher, Revocations};

pub(crate) use caracal_test_support::waiting::eventually;

use crate::redis_server::RedisServer;

/// Time limit that suffices on the slowest machine: a test that reaches it has failed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) const ZONE: &str = "zone-1";

pub(crate) fn key(seed: u8) -> Key {
    Key::from_hex(&format!("{seed:02x}").repeat(32)).expect("a key")
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new(key(1))
}

/// Returns a ready follower of the server with the usual key.
pub(crate) async fn follow(server: &RedisServer) -> Revocations {
    let revocations = Follower::new(server.settings(&ring())).spawn();
    ready(&revocations).await;
    revocations
}

/// Returns a ready follower with this bound on staleness.
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
    tokio::time::timeout(TIMEOUT, revocations.ready()).await.expect("the follower becomes ready");
}

pub(crate) async fn publisher(server: &RedisServer) -> Publisher {
    Publisher::connect(&server.settings(&ring())).await.expect("a publisher")
}

/// Publishes a revocation as the API does, and returns the message's id.
pub(crate) async fn revoke(publisher: &Publisher, session: &str) -> StreamId {
    let message = MessageBuilder::revoke(ZONE, "operator").session(session);
    publisher.publish(message).await.expect("Redis stores the message")
}

/// Returns claims of a token issued long after every gap of the tests.
pub(crate) fn claims(session: &str) -> Claims {
    let mut claims = issued_at(session, 4_000_000_000);
    claims.zone_id = Some(ZONE.into());
    claims
}

/// Returns claims of a token issued in this second.
pub(crate) fn issued_at(session: &str, iat: i64) -> Claims {
    Claims::new(session, iat, iat + 900)
}

pub(crate) fn verdict(revocations: &Revocations, claims: &Claims) -> Verdict {
    let mut checks = Checks::default();
    // Skip the lifetime check: the tests use tokens issued long before or after their gaps.
    checks.lifetime = false;
    revocations.decide(claims, &checks, revocations.now())
}

pub(crate) fn is_admitted(revocations: &Revocations, session: &str) -> bool {
    matches!(verdict(revocations, &claims(session)), Verdict::Admitted(_))
}

pub(crate) fn is_revoked(revocations: &Revocations, session: &str) -> bool {
    matches!(
        verdict(revocations, &claims(session)),
        Verdict::Denied(denial) if denial.reason() == DenyReason::Revoked
    )
}

pub(crate) fn is_unknown(revocations: &Revocations) -> Option<UnknownCause> {
    match verdict(revocations, &claims("nobody")) {
        Verdict::Unknown(why) => Some(why),
        _ => None,
    }
}

/// Waits for the horizon of a gap that was just caused, and returns it. It must cover the present,
/// by the clock of this machine, and at most the margin more: a horizon that is a day too low would
/// admit revoked tokens.
pub(crate) async fn eventually_horizon(revocations: &Revocations) -> i64 {
    let second = || i64::try_from(wall_clock().as_secs()).unwrap();
    let margin = i64::try_from(revocations.options().horizon_margin.as_secs()).unwrap();
    let before = second();
    eventually("the gap is detected", || revocations.horizon().is_some()).await;
    let horizon = revocations.horizon().unwrap();
    // The gap was caused before this call, at most a slow test earlier.
    let range = before - 60..=second() + margin;
    assert!(range.contains(&horizon), "a horizon of {horizon}, not in {range:?}");
    horizon
}

fn wall_clock() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

/// Returns once everything published before this call has been read.
pub(crate) async fn caught_up(revocations: &Revocations, publisher: &Publisher) {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let marker = format!("marker-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    revoke(publisher, &marker).await;
    eventually("the marker is applied", || is_revoked(revocations, &marker)).await;
}

/// Runs another test of this program as a process, with a variable that tells it so, and returns the
/// lines that it writes.
pub(crate) fn start_test(
    name: &str,
    variable: &str,
    value: &str,
) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(variable, value)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map_while(Result::ok))
}
