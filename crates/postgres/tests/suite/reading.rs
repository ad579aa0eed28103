//! The rows that a read covers, and the facts that each row adds.

use std::collections::BTreeSet;
use std::time::Duration;

use caracal_revocation_postgres::Postgres;
use caracal_revocation_state::BaselineFact;
use caracal_revocation_stream::{Baseline, BaselineError, Scope};

use crate::server::PostgresServer;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn postgres(url: &str) -> Postgres {
    Postgres::from_lookup(|name| (name == "DATABASE_URL").then(|| url.to_owned())).expect("a URL")
}

/// Runs one read and returns all that it adds, as text.
pub(crate) async fn read(
    postgres: &mut Postgres,
    scope: Scope,
) -> (BTreeSet<String>, Result<(), BaselineError>) {
    let mut found = BTreeSet::new();
    let mut add = |known: &BaselineFact<'_>| {
        found.insert(match *known {
            BaselineFact::Revoked(id) => format!("revoked {id}"),
            BaselineFact::Suspended { session, occurred, decided } => {
                let decided = decided.map_or("never".into(), |at| at.as_millis().to_string());
                format!("suspended {session} at {occurred} decided {decided}")
            }
            BaselineFact::Resumed { session, suspended } => {
                format!("resumed {session} of {suspended}")
            }
            BaselineFact::Epoch { zone, epoch, ended } => format!("epoch {zone} {epoch} {ended}"),
        });
    };
    let outcome = postgres.read(scope, &mut add).await;
    (found, outcome)
}

fn expected(facts: &[&str]) -> BTreeSet<String> {
    facts.iter().map(|fact| (*fact).to_owned()).collect()
}

#[tokio::test]
async fn reads_only_recent_endings_of_every_zone() {
    let server = PostgresServer::start().await;
    let mut postgres = postgres(&server.url());
    assert_eq!(read(&mut postgres, Scope::Full(DAY)).await, (expected(&[]), Ok(())));
    server
        .run(
            "INSERT INTO authority_records VALUES
                 ('ar-active', 'z1', 'active', now() + interval '1 hour'),
                 ('ar-expired', 'z1', 'expired', now()),
                 ('ar-old', 'z1', 'revoked', now() - interval '2 days'),
                 ('ar-1', 'z1', 'revoked', now() + interval '1 hour'),
                 ('ar-2', 'z2', 'revoked', now() - interval '10 minutes');
             INSERT INTO delegation_edges VALUES
                 ('e-active', 'z1', 'active', NULL),
                 ('e-old', 'z1', 'revoked', now() - interval '2 days'),
                 ('e-1', 'z2', 'revoked', now() - interval '1 hour');
             INSERT INTO delegation_graph_epochs VALUES ('z1', 7), ('z2', 0);
             INSERT INTO sessions VALUES
                 ('s-active', 'z1', 'active', 'ar-active', now()),
                 ('s-old', 'z1', 'terminated', 'ar-active', now() - interval '2 days'),
                 ('s-ended', 'z1', 'terminated', 'ar-active', now()),
                 ('s-expired', 'z2', 'expired', 'ar-active', now()),
                 ('s-never', 'z1', 'suspended', 'ar-active', 'infinity');",
        )
        .await;
    let (found, outcome) = read(&mut postgres, Scope::Full(DAY)).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        found,
        expected(&[
            "revoked ar-1",
            "revoked ar-2",
            "revoked e-1",
            "epoch z1 7 false",
            "epoch z2 0 false",
            "revoked s-ended",
            "revoked s-expired",
            "revoked s-never",
        ])
    );
}

#[tokio::test]
async fn reads_outbox_messages_published_or_not() {
    let server = PostgresServer::start().await;
    server
        .run(
            r#"INSERT INTO event_outbox VALUES
                 ('01989e0b-1000-7000-8000-000000000001', 'caracal.sessions.revoke',
                  '{"zone_id":"z1","session_id":"ar-1","grant_id":null}', now(), now()),
                 ('01989e0b-1000-7000-8000-000000000002', 'caracal.sessions.revoke',
                  '{"zone_id":"z1","session_id":"ar-2"}', NULL, now()),
                 ('01989e0b-1000-7000-8000-000000000003', 'caracal.sessions.revoke',
                  '{"zone_id":"z1","session_id":"ar-old"}', NULL, now() - interval '2 days'),
                 ('01989e0b-1000-7000-8000-000000000004', 'caracal.agents.lifecycle',
                  '{"zone_id":"z1","event":"terminate","agent_session_id":"s-1"}', NULL, now()),
                 ('01989e0b-1000-7000-8000-000000000005', 'caracal.keys.invalidate',
                  '{"zone_id":"z1"}', NULL, now()),
                 ('01989e0b-1000-7000-8000-000000000006', 'caracal.audit.events',
                  '{"sid":"ar-3"}', NULL, now());
               INSERT INTO caracal_outbox VALUES
                 ('01989e0b-1000-7000-8000-000000000007', 'caracal.delegations.invalidate', 'a',
                  '{"zone_id":"z1","event":"edge_expire","edge_ids":["e-1","e-2"],"epoch":9}',
                  'published', now()),
                 ('01989e0b-1000-7000-8000-000000000008', 'caracal.invocations.lifecycle', 'b',
                  '{"sid":"ar-4"}', 'pending', now());"#,
        )
        .await;
    let (found, outcome) = read(&mut postgres(&server.url()), Scope::Full(DAY)).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        found,
        expected(&[
            "revoked ar-1",
            "revoked ar-2",
            "revoked s-1",
            "revoked e-1",
            "revoked e-2",
            "epoch z1 9 true",
        ])
    );
}

#[tokio::test]
async fn reads_suspension_from_message_or_else_from_table() {
    let server = PostgresServer::start().await;
    // Four sessions: suspended with its message; suspended without its message; suspended and
    // resumed; suspended, resumed and suspended again.
    server
        .run(
            r#"INSERT INTO sessions
                 SELECT id, 'z1', status, 'ar', date_trunc('milliseconds', now()) - age
                 FROM (VALUES ('s-1', 'suspended', interval '1 minute'),
                              ('s-2', 'suspended', interval '2 minutes'),
                              ('s-3', 'active', interval '1 minute'),
                              ('s-4', 'suspended', interval '1 minute')) AS s(id, status, age);
               CREATE FUNCTION message(kind text, session text, age interval, millis text) RETURNS void
               LANGUAGE sql AS $$
                 INSERT INTO caracal_outbox
                 SELECT '01989e0b-' || millis || '-7000-8000-' || lpad(count(*)::text, 12, '0'),
                        'caracal.agents.lifecycle',
                        kind || ':' || session || ':' || to_char(
                            (date_trunc('milliseconds', now()) - age) AT TIME ZONE 'UTC',
                            'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                        jsonb_build_object('zone_id', 'z1', 'event', kind,
                                           'agent_session_id', session), 'pending', now()
                 FROM caracal_outbox $$;
               SELECT message('suspend', 's-1', interval '1 minute', '1000'),
                      message('suspend', 's-3', interval '2 minutes', '1000'),
                      message('resume', 's-3', interval '1 minute', '2000'),
                      message('suspend', 's-4', interval '3 minutes', '1000'),
                      message('resume', 's-4', interval '2 minutes', '2000'),
                      message('suspend', 's-4', interval '1 minute', '3000');"#,
        )
        .await;
    let (found, outcome) = read(&mut postgres(&server.url()), Scope::Full(DAY)).await;
    assert_eq!(outcome, Ok(()));
    let facts: Vec<Vec<&str>> = found.iter().map(|fact| fact.split(' ').collect()).collect();
    let of = |kind: &str, session: &str| {
        facts.iter().filter(|fact| fact[0] == kind && fact[1] == session).count()
    };
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!((of("suspended", "s-1"), of("suspended", "s-2")), (1, 1));
    assert_eq!((of("resumed", "s-3"), of("suspended", "s-3")), (1, 0));
    assert_eq!((of("resumed", "s-4"), of("suspended", "s-4")), (1, 1));
    // The first 48 bits of the outbox id.
    let decided = |session: &str| {
        let fact = facts.iter().find(|fact| fact[0] == "suspended" && fact[1] == session).unwrap();
        fact[5].parse::<u64>().unwrap()
    };
    assert_eq!(decided("s-1"), 0x0198_9e0b_1000);
    assert_eq!(decided("s-4"), 0x0198_9e0b_3000);
    assert!(decided("s-2") > 0x0198_9e0b_3000, "from the table's own time");
}

#[tokio::test]
async fn incremental_read_reaches_back_one_long_transaction() {
    let server = PostgresServer::start().await;
    let mut postgres = postgres(&server.url());
    let insert = |name: &str, age: &str| {
        format!(
            "INSERT INTO delegation_edges VALUES ('{name}', 'z1', 'revoked', now() - interval '{age}')"
        )
    };
    server.run(&insert("e-1", "3 hours")).await;
    let (found, _) = read(&mut postgres, Scope::Incremental(DAY)).await;
    assert_eq!(found, expected(&["revoked e-1"]), "the first read covers the whole window");
    server.run(&insert("e-2", "10 minutes")).await;
    let (found, _) = read(&mut postgres, Scope::Incremental(DAY)).await;
    assert_eq!(found, expected(&["revoked e-2"]), "dated by the start of its transaction");
    let (found, _) = read(&mut postgres, Scope::Full(DAY)).await;
    assert_eq!(found, expected(&["revoked e-1", "revoked e-2"]));
}

#[tokio::test]
async fn reads_tables_of_the_schema_in_the_address() {
    let server = PostgresServer::start().await;
    server
        .run(
            "INSERT INTO authority_records VALUES ('ar-1', 'z1', 'revoked');
             CREATE SCHEMA \"Cara\"\"cal\";
             GRANT USAGE ON SCHEMA \"Cara\"\"cal\" TO caracal_revocation",
        )
        .await;
    for table in [
        "authority_records",
        "sessions",
        "delegation_edges",
        "delegation_graph_epochs",
        "event_outbox",
        "caracal_outbox",
    ] {
        server.run(&format!("ALTER TABLE {table} SET SCHEMA \"Cara\"\"cal\"")).await;
    }
    let (_, outcome) = read(&mut postgres(&server.url()), Scope::Full(DAY)).await;
    assert!(outcome.unwrap_err().to_string().contains("search path"));
    let mut postgres = postgres(&format!("{}?schema=Cara%22cal", server.url()));
    let found = read(&mut postgres, Scope::Full(DAY)).await;
    assert_eq!(found, (expected(&["revoked ar-1"]), Ok(())));
}
