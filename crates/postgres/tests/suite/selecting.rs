//! The rows that an operator's criteria select, and those below them.

use caracal_revocation_event::OccurredAt;
use caracal_revocation_postgres::{Postgres, Selected, Selection};

use crate::reading::postgres;
use crate::server::PostgresServer;

/// Two zones. In z1, application app-1 has a record with a descendant, a session with a child of
/// app-2, and a delegation to app-3, from which another derives. User u-1 acts through app-1 and
/// app-2. Some rows have ended.
const ROWS: &str = "
    INSERT INTO authority_records (id, zone_id, session_type, subject_id, parent_id, created_at)
    VALUES ('ar-app', 'z1', 'application', 'app-1', NULL, '2026-11-20T10:00:00Z'),
           ('ar-below', 'z1', 'user', 'u-9', 'ar-app', '2026-11-20T12:00:00Z'),
           ('ar-user', 'z1', 'user', 'u-1', NULL, '2026-11-20T11:00:00Z'),
           -- A user with the name of the application is not the application.
           ('ar-named', 'z1', 'user', 'app-1', NULL, '2026-11-20T11:00:00Z'),
           ('ar-z2', 'z2', 'application', 'app-1', NULL, '2026-11-20T10:00:00Z');
    INSERT INTO authority_records (id, zone_id, session_type, subject_id, status, expires_at)
    VALUES ('ar-revoked', 'z1', 'application', 'app-1', 'revoked', now() + interval '1 hour'),
           ('ar-expired', 'z1', 'application', 'app-1', 'active', now() - interval '1 hour'),
           ('ar-just', 'z1', 'application', 'app-1', 'expired', now() - interval '30 seconds');
    INSERT INTO sessions
        (id, zone_id, application_id, status, parent_id, subject_authority_record_id, started_at)
    VALUES ('s-1', 'z1', 'app-1', 'active', NULL, 'ar-user', '2026-11-20T11:00:00Z'),
           ('s-child', 'z1', 'app-2', 'suspended', 's-1', 'ar-other', '2026-11-20T12:00:00Z'),
           ('s-acts', 'z1', 'app-3', 'active', NULL, 'ar-app', '2026-11-20T12:00:00Z'),
           ('s-ended', 'z1', 'app-1', 'terminated', NULL, 'ar-user', '2026-11-20T11:00:00Z'),
           ('s-user', 'z1', 'app-2', 'active', NULL, 'ar-user', '2026-11-20T11:00:00Z'),
           ('s-other', 'z1', 'app-3', 'active', NULL, 'ar-other', '2026-11-20T09:00:00Z'),
           -- A child must be of the same zone.
           ('s-z2', 'z2', 'app-2', 'active', 's-1', 'ar-other', '2026-11-20T12:00:00Z');
    INSERT INTO delegation_edges
        (id, zone_id, source_session_id, target_session_id, issuer_application_id,
         receiver_application_id, parent_edge_id, created_at)
    VALUES ('e-1', 'z1', 's-1', 's-other', 'app-1', 'app-3', NULL, '2026-11-20T11:00:00Z'),
           ('e-next', 'z1', 's-other', 's-last', 'app-3', 'app-4', 'e-1', '2026-11-20T12:00:00Z'),
           ('e-to', 'z1', 's-other', 's-child', 'app-3', 'app-2', NULL, '2026-11-20T12:00:00Z'),
           ('e-none', 'z1', 's-other', 's-last', 'app-3', 'app-4', NULL, '2026-11-20T09:00:00Z'),
           ('e-z2', 'z2', 's-z2', 's-x', 'app-2', 'app-3', NULL, '2026-11-20T12:00:00Z');
    INSERT INTO delegation_edges (id, zone_id, source_session_id, status, revoked_at)
    VALUES ('e-revoked', 'z1', 's-1', 'revoked', now());
    INSERT INTO delegation_edges (id, zone_id, source_session_id, expires_at)
    VALUES ('e-expired', 'z1', 's-1', now() - interval '1 hour');
    INSERT INTO delegated_grants VALUES ('g-1', 'z1', 'u-1'), ('g-2', 'z2', 'u-1')";

async fn with_rows() -> (PostgresServer, Postgres) {
    let server = PostgresServer::start().await;
    server.run(ROWS).await;
    let postgres = postgres(&server.operator_url());
    (server, postgres)
}

/// Returns the rows as text. A `+` marks a row below the selected ones.
fn text(selected: &Selected) -> String {
    let mark = |is_below: bool| if is_below { "+" } else { "" };
    let records = selected.records.iter().map(|it| format!("{}{}", it.id, mark(it.is_below)));
    let sessions = selected.sessions.iter().map(|it| format!("{}{}", it.id, mark(it.is_below)));
    let delegations = selected.delegations.iter().map(|it| {
        format!("{}{}@{}", it.id, mark(it.is_below), it.session.as_deref().unwrap_or("none"))
    });
    let mut all: Vec<String> = records.chain(sessions).chain(delegations).collect();
    all.sort();
    all.join(" ")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn selects_rows_that_meet_every_criterion_and_all_below() {
    let (_server, postgres) = with_rows().await;
    let none = Selection::default;
    let before = OccurredAt::parse("2026-11-20T10:30:00Z");
    let ids = ["s-1", "ar-user", "e-none", "ar-revoked"].map(str::to_owned).into();
    for (selection, expected) in [
        (
            Selection { application: some("app-1"), zone: some("z1"), ..none() },
            "ar-app ar-below+ ar-just e-1@s-1 e-next+@none e-to+@s-child s-1 s-acts+ s-child+",
        ),
        (Selection { application: some("app-1"), zone: some("z2"), ..none() }, "ar-z2"),
        (
            Selection { application: some("app-1"), issued_before: before, ..none() },
            "ar-app ar-below+ ar-z2 s-acts+",
        ),
        (
            Selection { subject: some("u-1"), ..none() },
            "ar-user e-1+@s-1 e-next+@none e-to+@s-child s-1 s-child+ s-user",
        ),
        (Selection { subject: some("u-1"), application: some("app-2"), ..none() }, "s-user"),
        (
            Selection { grant: some("g-1"), ..none() },
            "ar-user e-1+@s-1 e-next+@none e-to+@s-child s-1 s-child+ s-user",
        ),
        (Selection { grant: some("g-2"), ..none() }, ""),
        (Selection { grant: some("g-3"), ..none() }, ""),
        (Selection { zone: some("z2"), ..none() }, "ar-z2 e-z2@s-z2 s-z2"),
        (
            Selection { ids: Some(ids), ..none() },
            "ar-user e-1+@s-1 e-next+@none e-none@none e-to+@s-child s-1 s-child+ s-user+",
        ),
    ] {
        let selected = postgres.select(&selection).await.unwrap();
        assert_eq!(text(&selected), expected, "{selection}");
    }
    let all = postgres.select(&Selection::default()).await.unwrap();
    let counts = (all.records.len(), all.sessions.len(), all.delegations.len());
    assert_eq!(counts, (6, 6, 5), "{}", text(&all));
    let suspended: Vec<_> = all.sessions.iter().filter(|it| it.is_suspended).collect();
    let [child] = suspended.as_slice() else { panic!("{suspended:?}") };
    assert_eq!((child.id.as_str(), child.application.as_str()), ("s-child", "app-2"));
}

#[tokio::test]
async fn selection_ends_for_rows_that_form_a_cycle() {
    let (server, postgres) = with_rows().await;
    server.run("UPDATE sessions SET parent_id = 's-child' WHERE id = 's-1'").await;
    server.run("UPDATE authority_records SET parent_id = 'ar-below' WHERE id = 'ar-app'").await;
    server.run("UPDATE delegation_edges SET parent_edge_id = 'e-next' WHERE id = 'e-1'").await;
    let selection =
        Selection { application: some("app-1"), zone: some("z1"), ..Selection::default() };
    let selected = postgres.select(&selection).await.unwrap();
    assert_eq!((selected.records.len(), selected.sessions.len()), (3, 3));
}

#[tokio::test]
async fn selects_hundreds_of_thousands_of_rows_in_time() {
    let server = PostgresServer::start().await;
    server
        .run(
            "INSERT INTO authority_records (id, zone_id, subject_id)
             SELECT 'ar-' || n, 'z1', 'u-1' FROM generate_series(1, 150000) n;
             INSERT INTO sessions (id, zone_id, subject_authority_record_id)
             SELECT 's-' || n, 'z1', 'ar-' || n FROM generate_series(1, 150000) n;
             INSERT INTO delegation_edges (id, zone_id, source_session_id)
             SELECT 'e-' || n, 'z1', 's-' || n FROM generate_series(1, 150000) n;
             ANALYZE",
        )
        .await;
    // A query that compares each row with each takes minutes.
    let postgres = postgres(&server.operator_url());
    let all = postgres.select(&Selection::default()).await.unwrap();
    let counts = (all.records.len(), all.sessions.len(), all.delegations.len());
    assert_eq!(counts, (150_000, 150_000, 150_000));
    let below = |selection: &Selected| selection.sessions.iter().filter(|it| it.is_below).count();
    assert_eq!(below(&all), 0);
}

#[tokio::test]
async fn needs_exactly_the_documented_rights() {
    let (server, postgres) = with_rows().await;
    let criteria = Selection {
        grant: some("g-1"),
        issued_before: OccurredAt::parse("2030-01-01T00:00:00Z"),
        application: some("app-1"),
        ..Selection::default()
    };
    postgres.select(&criteria).await.unwrap();
    let owner = server.owner().await;
    let rights = "SELECT table_name::text, column_name::text
                  FROM information_schema.column_privileges
                  WHERE grantee = 'caracal_revoke' ORDER BY 1, 2";
    let rights = owner.query(rights, &[]).await.unwrap();
    assert!(rights.len() > 20, "{}", rights.len());
    for right in &rights {
        let (table, column): (String, String) = (right.get(0), right.get(1));
        let on = format!("SELECT ({column}) ON {table}");
        server.run(&format!("REVOKE {on} FROM caracal_revoke")).await;
        let error = postgres.select(&criteria).await.unwrap_err().to_string();
        assert!(error.contains("grants_revoke.sql"), "{on}: {error}");
        server.run(&format!("GRANT {on} TO caracal_revoke")).await;
    }
    // The role changes nothing, and reads nothing else.
    for (statement, expected) in [
        ("UPDATE sessions SET status = 'terminated'", "42501"),
        ("SELECT payload_json FROM event_outbox", "42501"),
        ("CREATE TABLE mine (id text)", "25006"),
    ] {
        let client = operator(&server).await;
        let error = client.batch_execute(statement).await.unwrap_err();
        let code = error.code().unwrap().code();
        assert!(code == expected || code == "25006", "{statement}: {error}");
    }
    // The baseline's role may not select.
    let other = crate::reading::postgres(&server.url());
    let error = other.select(&criteria).await.unwrap_err().to_string();
    assert!(error.contains("42501") && error.contains("grants_revoke.sql"), "{error}");
}

async fn operator(server: &PostgresServer) -> tokio_postgres::Client {
    let url = server.operator_url();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn never_returns_a_part_of_the_rows() {
    let (mut server, postgres) = with_rows().await;
    let select = async || postgres.select(&Selection::default()).await.unwrap_err().to_string();
    server.run("DROP POLICY zone_isolation ON delegated_grants").await;
    assert!(select().await.contains("may hide rows of delegated_grants"));
    server.run("ALTER TABLE delegated_grants DISABLE ROW LEVEL SECURITY").await;
    postgres.select(&Selection::default()).await.unwrap();
    server.run("ALTER TABLE sessions RENAME COLUMN parent_id TO parent").await;
    assert!(select().await.contains("42703"));
    server.kill();
    server.become_standby();
    server.restart();
    assert!(select().await.contains("standby"));
}
