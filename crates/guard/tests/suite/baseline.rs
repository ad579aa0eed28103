//! Caracal's Postgres as the baseline: with the feature `postgres`, and without it.

#[cfg(feature = "postgres")]
use std::time::{Duration, Instant};

use crate::program::Guard;
use crate::world::{World, free_address};

/// Starts a guard with this address of a database, waits for its end, and returns its log.
async fn rejected(url: &str) -> String {
    let world = World::start().await;
    let mut environment = world.environment();
    environment.push(("DATABASE_URL", url.to_owned()));
    Guard::launch(&environment, &["--check", &free_address().to_string()]).ended().await
}

#[cfg(not(feature = "postgres"))]
#[tokio::test(flavor = "multi_thread")]
async fn database_without_the_feature_is_an_error_that_names_it() {
    let log = rejected("postgres://user:pass-word@127.0.0.1/caracal").await;
    assert!(log.contains("DATABASE_URL: needs"), "{log}");
    assert!(log.contains("the feature `postgres`"), "{log}");
    assert!(!log.contains("pass-word"), "{log}");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn unusable_database_is_an_error_without_its_password() {
    let log = rejected("mysql://user:pass-word@127.0.0.1/caracal").await;
    assert!(log.contains("error: DATABASE_URL: not an address"), "{log}");
    assert!(!log.contains("pass-word"), "{log}");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn revocation_that_only_postgres_knows_is_denied() {
    use caracal_test_support::postgres_server::PostgresServer;

    use crate::exchange::{body, send, status};
    use crate::world::ZONE;

    let (world, postgres) = (World::start().await, PostgresServer::start().await);
    let payload = format!(r#"{{"zone_id":"{ZONE}","session_id":"hidden"}}"#);
    let row = format!(
        "INSERT INTO event_outbox VALUES ('o-1', 'caracal.sessions.revoke', '{payload}', now(), now())"
    );
    postgres.run(&row).await;
    let mut environment = world.environment();
    environment.push(("DATABASE_URL", postgres.url()));
    let check = free_address();
    let _guard = Guard::start(&environment, &["--check", &check.to_string()]).await;
    let bearer = |sid| format!("Authorization: Bearer {}", world.mint(sid));
    let (hidden, other) = (bearer("hidden"), bearer("other"));
    let start = Instant::now();
    loop {
        let response = send(check, "GET", "/check/orders", &[&hidden]).await.unwrap();
        if status(&response) == 401 {
            assert!(body(&response).contains("session_revoked"), "{response}");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "never denied: {response}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let response = send(check, "GET", "/check/orders", &[&other]).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
}
