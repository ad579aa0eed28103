//! Redis loses messages; Postgres knows what they said.

use caracal_revocation::{Claims, Follower, Postgres, Reason, Revocations, Stream, Verdict};

use crate::live::{ZONE, caught_up, claims, eventually, publisher, ready, revoke, ring, verdict};
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;

/// A resource token of before every hole that a test makes.
fn old(session: &str) -> Claims {
    let mut claims = claims(session);
    claims.iat = Some(1_000_000_000);
    claims.usage = Some("resource".into());
    claims
}

fn reason(revocations: &Revocations, claims: &Claims) -> Option<Reason> {
    match verdict(revocations, claims) {
        Verdict::Refused(refusal) => Some(refusal.reason()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_is_closed_from_postgres_and_what_it_hid_is_refused() {
    let redis = RedisServer::start();
    let mut postgres = PostgresServer::start().await;
    let url = postgres.url();
    let publisher = publisher(&redis).await;
    revoke(&publisher, "before").await;
    let baseline =
        Postgres::from_lookup(|name| (name == "DATABASE_URL").then(|| url.clone())).unwrap();
    let revocations = Follower::new(redis.settings(&ring())).with_baseline(baseline).spawn();
    ready(&revocations).await;
    caught_up(&revocations, &publisher).await;
    assert!(matches!(verdict(&revocations, &old("living")), Verdict::Admitted(_)));

    // The database is away while the stream loses a message that was decided.
    let name = Stream::SessionsRevoke.name();
    postgres
        .run(&format!(
            "INSERT INTO event_outbox VALUES ('o-1', '{name}',
             '{{\"zone_id\":\"{ZONE}\",\"session_id\":\"hidden\"}}', now(), now())"
        ))
        .await;
    postgres.kill();
    let mut connection = redis.connection().await;
    let mut lose = redis::pipe();
    lose.atomic();
    lose.cmd("XADD").arg(name).arg("*").arg("session_id").arg("hidden");
    lose.cmd("DEL").arg(name);
    lose.query_async::<()>(&mut connection).await.unwrap();
    eventually("the hole is noticed", || {
        reason(&revocations, &old("living")) == Some(Reason::HistoryIncomplete)
    })
    .await;
    assert_eq!(reason(&revocations, &old("before")), Some(Reason::Revoked));
    assert!(matches!(verdict(&revocations, &claims("living")), Verdict::Admitted(_)));

    postgres.restart();
    eventually("the hole is closed", || reason(&revocations, &old("living")).is_none()).await;
    assert_eq!(reason(&revocations, &old("hidden")), Some(Reason::Revoked));
    let mut session = old("living");
    session.usage = Some("session".into());
    assert_eq!(reason(&revocations, &session), Some(Reason::HistoryIncomplete));
}
