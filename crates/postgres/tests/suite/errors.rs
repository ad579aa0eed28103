//! Every error of Postgres names the setting and the cause, and adds no wrong fact.

use std::time::Duration;

use caracal_revocation_stream::Scope;

use crate::reading::{DAY, postgres, read};
use crate::server::PostgresServer;

async fn error(url: &str) -> String {
    let mut postgres = postgres(url).with_deadline(Duration::from_secs(5));
    let (found, outcome) = read(&mut postgres, Scope::Full(DAY)).await;
    assert!(found.is_empty(), "{found:?}");
    let error = outcome.unwrap_err();
    assert_eq!(error.setting(), "DATABASE_URL");
    let text = error.to_string();
    assert!(text.starts_with("DATABASE_URL: "), "{text}");
    assert!(!format!("{text} {error:?} {postgres:?}").contains("password-of"), "{text}");
    text
}

fn contains(text: &str, what: &str) {
    assert!(text.contains(what), "{text}");
}

#[tokio::test]
async fn each_error_names_its_cause() {
    let mut server = PostgresServer::start().await;
    let url = server.url();

    contains(&error(&server.url_with("wrong-password-of-mine")).await, "user or password");
    contains(&error(&url.replace("/postgres", "/elsewhere")).await, "3D000");

    server.run("ALTER TABLE delegation_edges RENAME TO somewhere_else").await;
    contains(&error(&url).await, "delegation_edges");
    server.run("ALTER TABLE somewhere_else RENAME TO delegation_edges").await;

    server.run("REVOKE ALL ON event_outbox FROM caracal_revocation").await;
    server.run("REVOKE SELECT (id, stream_name, payload_json, created_at) ON event_outbox FROM caracal_revocation").await;
    contains(&error(&url).await, "grants.sql");
    server.run("GRANT SELECT ON event_outbox TO caracal_revocation").await;

    server.run("DROP POLICY zone_isolation ON sessions").await;
    contains(&error(&url).await, "may hide rows of sessions");
    server.run("CREATE POLICY other ON sessions TO pg_monitor USING (current_setting('caracal.zone_id') = '*')").await;
    contains(&error(&url).await, "may hide rows of sessions");
    server.run("DROP POLICY other ON sessions").await;
    server
        .run("CREATE POLICY zone ON sessions USING (current_setting('caracal.zone_id') = '*')")
        .await;
    server.run("CREATE POLICY less ON sessions AS RESTRICTIVE USING (zone_id = 'z1')").await;
    contains(&error(&url).await, "may hide rows of sessions");
    server.run("DROP POLICY less ON sessions").await;

    let mut owner = server.owner().await;
    let locked = owner.transaction().await.unwrap();
    locked.batch_execute("LOCK TABLE authority_records").await.unwrap();
    let mut hurried = postgres(&url).with_deadline(Duration::from_millis(700));
    let (_, outcome) = read(&mut hurried, Scope::Full(DAY)).await;
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("0.7 s") || text.contains("57014"), "{text}");
    locked.rollback().await.unwrap();

    server.freeze();
    let (_, outcome) = read(&mut hurried, Scope::Full(DAY)).await;
    contains(&outcome.unwrap_err().to_string(), "within 0.7 s");
    server.thaw();

    server.kill();
    contains(&error(&url).await, "cannot be reached");
    server.restart();
    let mut patient = postgres(&url);
    let (_, outcome) = read(&mut patient, Scope::Full(DAY)).await;
    assert_eq!(outcome, Ok(()), "Postgres can be read again");

    server.kill();
    server.become_standby();
    server.restart();
    contains(&error(&url).await, "standby");
}
