//! The selection of an operator: the rows that meet the criteria, and everything below them.

use std::fmt;

use caracal_revocation_event::OccurredAt;
use caracal_revocation_stream::BaselineError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, Transaction};

use crate::errors;

/// The tables that a selection reads.
pub(crate) const TABLES: [&str; 4] =
    ["authority_records", "sessions", "delegation_edges", "delegated_grants"];

/// The criteria of an operator. A row is selected if it meets every criterion that is set. Without
/// a criterion, every row whose tokens may be valid is selected.
///
/// ```
/// use caracal_revocation_postgres::Selection;
/// let selection = Selection { application: Some("app-1".to_owned()), ..Selection::default() };
/// assert_eq!(selection.zone, None, "in every zone");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The records and sessions of this application.
    pub application: Option<String>,
    /// The records of this subject, and the sessions that act for it.
    pub subject: Option<String>,
    /// Rows of this zone.
    pub zone: Option<String>,
    /// The records of the user of this grant, and the sessions that act for it. Caracal revokes
    /// the same records when the grant is deleted.
    pub grant: Option<String>,
    /// Rows that were created before this time, by the clock of Postgres.
    pub issued_before: Option<OccurredAt>,
    /// Rows with these ids.
    pub ids: Option<Vec<String>>,
}

/// The rows to revoke. `is_below` marks a row that does not meet the criteria itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selected {
    /// Authority records: those selected, and all that descend from them.
    pub records: Vec<SelectedRecord>,
    /// Sessions: those selected, those that act for one of the records, and all that descend from
    /// these.
    pub sessions: Vec<SelectedSession>,
    /// Delegations: those selected, those from or to one of the sessions, and all that derive from
    /// these.
    pub delegations: Vec<SelectedDelegation>,
}

/// An authority record to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectedRecord {
    /// The id of the record.
    pub id: String,
    /// The zone of the record.
    pub zone: String,
    /// `true` if only a record above it meets the criteria.
    pub is_below: bool,
}

/// A governed session to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectedSession {
    /// The id of the session.
    pub id: String,
    /// The zone of the session.
    pub zone: String,
    /// The application that runs it.
    pub application: String,
    /// `true` if it is suspended, `false` if it is active.
    pub is_suspended: bool,
    /// `true` if only its record, or a session above it, meets the criteria.
    pub is_below: bool,
}

/// A delegation to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectedDelegation {
    /// The id of the delegation.
    pub id: String,
    /// The zone of the delegation.
    pub zone: String,
    /// The session at one of its ends, if that is revoked too.
    pub session: Option<String>,
    /// `true` if only one of its sessions, or the delegation that it derives from, meets the
    /// criteria.
    pub is_below: bool,
}

/// The time after its expiry for which a row still counts: verifiers accept a token for 60 seconds
/// after its end.
macro_rules! leeway {
    () => {
        "interval '2 minutes'"
    };
}

/// A query that returns the records. Parameters: the criteria, in the order of `Selection`.
///
/// This query and the next two join `chosen` and never ask `IN (SELECT … FROM chosen)`: with hundreds
/// of thousands of rows, Postgres would compare each row with each.
const RECORDS: &str = concat!(
    "
    WITH RECURSIVE live AS (
        SELECT id, zone_id, session_type, subject_id, parent_id, created_at
        FROM authority_records
        WHERE status <> 'revoked' AND expires_at > now() - ",
    leeway!(),
    "
    ), chosen AS (
        SELECT id, zone_id FROM live a
        WHERE ($1::text IS NULL OR (session_type = 'application' AND subject_id = $1))
          AND ($2::text IS NULL OR subject_id = $2)
          AND ($3::text IS NULL OR zone_id = $3)
          AND ($4::text IS NULL OR EXISTS (
                SELECT FROM delegated_grants g
                WHERE g.id = $4 AND g.zone_id = a.zone_id AND g.user_id = a.subject_id))
          AND ($5::text IS NULL OR created_at < $5::timestamptz)
          AND ($6::text[] IS NULL OR id = ANY ($6))
    ), tree AS (
        SELECT id, zone_id FROM chosen
        UNION
        SELECT child.id, child.zone_id
        FROM live child JOIN tree ON child.parent_id = tree.id AND child.zone_id = tree.zone_id
    )
    SELECT tree.id, tree.zone_id, chosen.id IS NULL
    FROM tree LEFT JOIN chosen ON chosen.id = tree.id ORDER BY 3, 2, 1"
);

/// A query that returns the sessions. Further parameter: the ids of the records.
const SESSIONS: &str = "
    WITH RECURSIVE live AS (
        SELECT id, zone_id, application_id, parent_id, subject_authority_record_id, status,
               started_at
        FROM sessions
        WHERE status IN ('active', 'suspended')
    ), chosen AS (
        SELECT id, zone_id FROM live s
        WHERE ($1::text IS NULL OR application_id = $1)
          AND (($2::text IS NULL AND $4::text IS NULL) OR EXISTS (
                SELECT FROM authority_records a
                WHERE a.id = s.subject_authority_record_id AND a.zone_id = s.zone_id
                  AND ($2::text IS NULL OR a.subject_id = $2)
                  AND ($4::text IS NULL OR EXISTS (
                        SELECT FROM delegated_grants g
                        WHERE g.id = $4 AND g.zone_id = a.zone_id AND g.user_id = a.subject_id))))
          AND ($3::text IS NULL OR zone_id = $3)
          AND ($5::text IS NULL OR started_at < $5::timestamptz)
          AND ($6::text[] IS NULL OR id = ANY ($6))
    ), tree AS (
        SELECT id, zone_id FROM chosen
        UNION
        SELECT id, zone_id FROM live WHERE subject_authority_record_id = ANY ($7)
        UNION
        SELECT child.id, child.zone_id
        FROM live child JOIN tree ON child.parent_id = tree.id AND child.zone_id = tree.zone_id
    )
    SELECT live.id, live.zone_id, application_id, status = 'suspended',
           chosen.id IS NULL
    FROM live JOIN tree ON tree.id = live.id
    LEFT JOIN chosen ON chosen.id = live.id ORDER BY 5, 2, 1";

/// A query that returns the delegations. Further parameter: the ids of the sessions.
const DELEGATIONS: &str = concat!(
    "
    WITH RECURSIVE live AS (
        SELECT id, zone_id, source_session_id, target_session_id, issuer_application_id,
               receiver_application_id, parent_edge_id, created_at
        FROM delegation_edges
        WHERE status = 'active' AND expires_at > now() - ",
    leeway!(),
    "
    ), chosen AS (
        SELECT id, zone_id FROM live
        WHERE $2::text IS NULL AND $4::text IS NULL
          AND ($1::text IS NULL OR issuer_application_id = $1 OR receiver_application_id = $1)
          AND ($3::text IS NULL OR zone_id = $3)
          AND ($5::text IS NULL OR created_at < $5::timestamptz)
          AND ($6::text[] IS NULL OR id = ANY ($6))
    ), tree AS (
        SELECT id, zone_id FROM chosen
        UNION
        SELECT id, zone_id FROM live
        WHERE source_session_id = ANY ($7) OR target_session_id = ANY ($7)
        UNION
        SELECT child.id, child.zone_id
        FROM live child JOIN tree ON child.parent_edge_id = tree.id AND child.zone_id = tree.zone_id
    )
    SELECT live.id, live.zone_id,
           CASE WHEN source_session_id = ANY ($7) THEN source_session_id
                WHEN target_session_id = ANY ($7) THEN target_session_id END,
           chosen.id IS NULL
    FROM live JOIN tree ON tree.id = live.id
    LEFT JOIN chosen ON chosen.id = live.id ORDER BY 4, 2, 1"
);

/// Reads all that a selection covers, from one snapshot.
pub(crate) async fn read(
    snapshot: &Transaction<'_>,
    selection: &Selection,
) -> Result<Selected, BaselineError> {
    let query_error = |error: Error| errors::selection_query_error(&error);
    let records = rows(snapshot, RECORDS, selection, None, SelectedRecord::of);
    let records = records.await.map_err(query_error)?;
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let sessions = rows(snapshot, SESSIONS, selection, Some(&ids), SelectedSession::of);
    let sessions = sessions.await.map_err(query_error)?;
    let ids: Vec<&str> = sessions.iter().map(|session| session.id.as_str()).collect();
    let delegations = rows(snapshot, DELEGATIONS, selection, Some(&ids), SelectedDelegation::of);
    let delegations = delegations.await.map_err(query_error)?;
    Ok(Selected { records, sessions, delegations })
}

async fn rows<T>(
    snapshot: &Transaction<'_>,
    query: &str,
    selection: &Selection,
    above: Option<&Vec<&str>>,
    row: impl Fn(&Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let before = selection.issued_before.map(|time| time.to_string());
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
        (&selection.application, Type::TEXT),
        (&selection.subject, Type::TEXT),
        (&selection.zone, Type::TEXT),
        (&selection.grant, Type::TEXT),
        (&before, Type::TEXT),
        (&selection.ids, Type::TEXT_ARRAY),
    ];
    if let Some(above) = above {
        parameters.push((above, Type::TEXT_ARRAY));
    }
    snapshot.query_typed(query, &parameters).await?.iter().map(row).collect()
}

impl SelectedRecord {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self { id: row.try_get(0)?, zone: row.try_get(1)?, is_below: row.try_get(2)? })
    }
}

impl SelectedSession {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.try_get(0)?,
            zone: row.try_get(1)?,
            application: row.try_get(2)?,
            is_suspended: row.try_get(3)?,
            is_below: row.try_get(4)?,
        })
    }
}

impl SelectedDelegation {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.try_get(0)?,
            zone: row.try_get(1)?,
            session: row.try_get(2)?,
            is_below: row.try_get(3)?,
        })
    }
}

impl fmt::Display for Selection {
    /// Writes the criteria as text: `application app-1, zone z-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.issued_before.map(|time| time.to_string());
        let ids = self.ids.as_ref().map(|ids| ids.len().to_string());
        let named = [
            ("application", &self.application),
            ("subject", &self.subject),
            ("zone", &self.zone),
            ("grant", &self.grant),
            ("issued before", &before),
            ("ids:", &ids),
        ];
        let mut parts = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        match parts.next() {
            None => f.write_str("everything"),
            Some((name, value)) => {
                write!(f, "{name} {value}")?;
                parts.try_for_each(|(name, value)| write!(f, ", {name} {value}"))
            }
        }
    }
}
