//! The queries on Caracal's tables, and the facts that each row adds.

use std::pin::pin;
use std::time::Duration;

use caracal_revocation_event::{DecidedAt, OccurredAt};
use caracal_revocation_state::BaselineFact;
use caracal_revocation_stream::BaselineError;
use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, Transaction};

use crate::errors;
use crate::outbox::Outbox;

/// The tables that the baseline reads.
pub(crate) const TABLES: [&str; 6] = [
    "authority_records",
    "sessions",
    "delegation_edges",
    "delegation_graph_epochs",
    "event_outbox",
    "caracal_outbox",
];

/// A query that returns a table in which row level security may hide rows. Caracal's zone policy
/// shows all rows to a session with the zone `*`. A role without such a policy sees no rows and
/// gets no error. Parameter: the names of the tables.
const HIDDEN_TABLE: &str = "
    SELECT c.relname::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY ($1::text[]::regclass[]::oid[])
      AND row_security_active(c.oid)
      AND (NOT EXISTS (SELECT FROM pg_policies p
                       WHERE p.schemaname = n.nspname
                         AND p.tablename = c.relname AND p.permissive = 'PERMISSIVE'
                         AND p.cmd IN ('ALL', 'SELECT') AND p.qual LIKE '%caracal.zone_id%'
                         AND ('public' = ANY (p.roles) OR current_user = ANY (p.roles)))
        OR EXISTS (SELECT FROM pg_policies p
                   WHERE p.schemaname = n.nspname
                     AND p.tablename = c.relname AND p.permissive = 'RESTRICTIVE'
                     AND p.cmd IN ('ALL', 'SELECT') AND p.qual NOT LIKE '%caracal.zone_id%'))
    LIMIT 1";

/// A query that returns the revoked records whose tokens may still be valid.
const RECORDS: &str = "
    SELECT id FROM authority_records
    WHERE status = 'revoked' AND expires_at >= now() - make_interval(secs => $1)";

const SESSIONS: &str = r#"
    SELECT id, status,
           to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    FROM sessions
    WHERE status IN ('suspended', 'terminated', 'expired')
      AND updated_at >= now() - make_interval(secs => $1)"#;

const DELEGATIONS: &str = "
    SELECT id FROM delegation_edges
    WHERE status = 'revoked' AND revoked_at >= now() - make_interval(secs => $1)";

const EPOCHS: &str = "SELECT zone_id, epoch FROM delegation_graph_epochs";

/// The API's outbox. Messages about keys and policies are left out: a gap makes all of them
/// stale.
const EVENT_OUTBOX: &str = "
    SELECT id, stream_name, payload_json::text, NULL::text FROM event_outbox
    WHERE stream_name IN ('caracal.sessions.revoke', 'caracal.delegations.invalidate',
                          'caracal.agents.lifecycle')
      AND created_at >= now() - make_interval(secs => $1)";

/// The Coordinator's outbox.
const CARACAL_OUTBOX: &str = "
    SELECT id, topic, payload_json::text, dedupe_key FROM caracal_outbox
    WHERE topic IN ('caracal.sessions.revoke', 'caracal.delegations.invalidate',
                    'caracal.agents.lifecycle')
      AND created_at >= now() - make_interval(secs => $1)";

/// Fails if rows of these tables may be missing: on a standby, or under row level security.
pub(crate) async fn check(
    snapshot: &Transaction<'_>,
    tables: &[&str],
) -> Result<(), BaselineError> {
    let query_error = |error| errors::query_error(&error);
    let standby =
        snapshot.query_typed("SELECT pg_is_in_recovery()", &[]).await.map_err(query_error)?;
    if standby.first().is_none_or(|row| row.try_get(0).unwrap_or(true)) {
        return Err(errors::standby());
    }
    let hidden = snapshot
        .query_typed(HIDDEN_TABLE, &[(&tables, Type::TEXT_ARRAY)])
        .await
        .map_err(query_error)?;
    match hidden.first() {
        Some(row) => Err(errors::hidden(row.try_get(0).unwrap_or("a table"))),
        None => Ok(()),
    }
}

/// Adds everything that was decided within `window` before now, by the clock of Postgres.
pub(crate) async fn read(
    snapshot: &Transaction<'_>,
    window: Duration,
    add: &mut (dyn FnMut(&BaselineFact<'_>) + Send),
) -> Result<(), BaselineError> {
    let query_error = |error: Error| errors::query_error(&error);
    let window = window.as_secs_f64();
    let within: &[(&(dyn ToSql + Sync), Type)] = &[(&window, Type::FLOAT8)];
    for ids in [RECORDS, DELEGATIONS] {
        for_each_row(snapshot, ids, within, |row| {
            add(&BaselineFact::Revoked(row.try_get(0)?));
            Ok(())
        })
        .await
        .map_err(query_error)?;
    }
    for_each_row(snapshot, EPOCHS, &[], |row| {
        // Never negative in Caracal's schema; if it were, 0 adds nothing.
        let epoch = u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0);
        // The outbox holds which epochs ended delegations.
        add(&BaselineFact::Epoch { zone: row.try_get(0)?, epoch, ended: false });
        Ok(())
    })
    .await
    .map_err(query_error)?;
    let mut outbox = Outbox::default();
    for (table, messages) in [("event_outbox", EVENT_OUTBOX), ("caracal_outbox", CARACAL_OUTBOX)] {
        for_each_row(snapshot, messages, within, |row| {
            let (id, stream): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            outbox.add_row(table, id, stream, row.try_get(2)?, row.try_get(3)?, add);
            Ok(())
        })
        .await
        .map_err(query_error)?;
    }
    outbox.add_suspensions(add);
    for_each_row(snapshot, SESSIONS, within, |row| {
        session(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, &outbox, add);
        Ok(())
    })
    .await
    .map_err(query_error)?;
    outbox.into_result()
}

fn session(
    id: &str,
    status: &str,
    updated: Option<&str>,
    outbox: &Outbox,
    add: &mut (dyn FnMut(&BaselineFact<'_>) + Send),
) {
    if status != "suspended" {
        return add(&BaselineFact::Revoked(id));
    }
    // The session's own message has the exact time of the suspension, which a resume must match.
    if outbox.is_suspended(id) {
        return;
    }
    match updated.and_then(OccurredAt::parse) {
        Some(occurred) => {
            let seconds = u64::try_from(occurred.floor_seconds()).ok();
            let decided =
                seconds.map(|seconds| DecidedAt::at_millis(seconds.saturating_mul(1_000)));
            add(&BaselineFact::Suspended { session: id, occurred, decided });
        }
        // "infinity" or another time that cannot be compared: no resume can lift this
        // suspension.
        None => add(&BaselineFact::Revoked(id)),
    }
}

/// Streams the rows of a query, so that their number does not matter for memory.
async fn for_each_row(
    snapshot: &Transaction<'_>,
    query: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
    mut take: impl FnMut(&Row) -> Result<(), Error>,
) -> Result<(), Error> {
    let parameters = parameters.iter().map(|(value, kind)| (*value, kind.clone()));
    let mut rows = pin!(snapshot.query_typed_raw(query, parameters).await?);
    while let Some(row) = rows.try_next().await? {
        take(&row)?;
    }
    Ok(())
}
