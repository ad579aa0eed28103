//! Postgres as a [`Baseline`].

use std::fmt;
use std::time::{Duration, Instant};

use caracal_revocation_state::BaselineFact;
use caracal_revocation_stream::{Baseline, BaselineError, BaselineFuture, Scope};
use tokio_postgres::types::Type;
use tokio_postgres::{IsolationLevel, Transaction};

use crate::connection::{Connection, Connector};
use crate::selection::{self, Selected, Selection};
use crate::settings::{self, PostgresError, Settings};
use crate::{errors, tables};

/// The default time limit of one read.
const DEADLINE: Duration = Duration::from_secs(60);
/// The longest transaction that an incremental read allows for. A row becomes visible at commit but
/// carries the time at which its transaction began, so a read goes back this far before the last
/// one.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(15 * 60);

/// Caracal's Postgres as the baseline of a follower.
///
/// | setting | meaning |
/// |---|---|
/// | `DATABASE_URL` | `postgres://user:password@host:port/database`, or in the file that `DATABASE_URL_FILE` names, if that is set |
/// | `DATABASE_TLS_CA_FILE` | PEM file of the authorities to trust instead of the system's; overrides `sslrootcert` |
///
/// The address may have these parameters. Any other is an error that names it.
///
/// | parameter | meaning |
/// |---|---|
/// | `sslmode` | `disable`; `allow` or `prefer` (default): TLS if the server offers it; `require`, `verify-ca` or `verify-full`: only TLS. Certificate and host name are always checked |
/// | `sslrootcert` | path of a PEM file with the authorities to trust, or `system` |
/// | `sslaccept` | `strict` only: certificates are always checked |
/// | `schema` | the schema of Caracal's tables, instead of the role's search path |
/// | `user`, `password`, `host`, `hostaddr`, `port`, `dbname`, `options`, `application_name`, `connect_timeout`, `tcp_user_timeout`, `keepalives`, `keepalives_idle`, `keepalives_interval`, `keepalives_retries`, `target_session_attrs`, `channel_binding`, `sslnegotiation`, `load_balance_hosts` | as for [`tokio_postgres::Config`] |
/// | `pgbouncer`, `connection_limit`, `pool_timeout`, `socket_timeout`, `statement_cache_size` (Prisma); `pool_*`, `default_query_exec_mode`, `statement_cache_capacity`, `description_cache_capacity` (pgx) | accepted and ignored: a read has no pool and prepares no statement |
///
/// A named authority requires TLS: `sslmode` must then be one of the last three, or be absent.
///
/// Each read opens its own connection and ends within 60 seconds. It ends the transaction with
/// ROLLBACK and the connection with Terminate, so that a pooler can reuse its own connection.
pub struct Postgres {
    settings: Settings,
    connector: Connector,
    deadline: Duration,
    /// The time at which the last complete read began.
    read: Option<Instant>,
}

impl Postgres {
    /// Creates the baseline from the environment.
    ///
    /// # Errors
    ///
    /// [`PostgresError`] names the setting that is missing or cannot be used.
    pub fn from_env() -> Result<Self, PostgresError> {
        settings::check_environment()?;
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Creates the baseline from the settings that `lookup` returns.
    ///
    /// # Errors
    ///
    /// [`PostgresError`] names the setting that is missing or cannot be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, PostgresError> {
        let settings = settings::read(lookup)?;
        let connector = Connector::new(&settings)?;
        Ok(Self { settings, connector, deadline: DEADLINE, read: None })
    }

    /// Sets the time limit of one read, instead of 60 seconds.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    async fn read_since(
        &self,
        window: Duration,
        add: &mut (dyn FnMut(&BaselineFact<'_>) + Send),
    ) -> Result<(), BaselineError> {
        let mut connection = self.open().await?;
        let snapshot = self.snapshot(&mut connection).await?;
        tables::check(&snapshot, &tables::TABLES).await?;
        tables::read(&snapshot, window, add).await
    }

    /// Returns everything that a selection covers, from one snapshot. Reads within the deadline
    /// (60 seconds by default).
    ///
    /// # Errors
    ///
    /// [`BaselineError`] if Postgres cannot be read, if the role lacks a right of
    /// `grants_revoke.sql`, or if rows may be missing: on a standby, or if row level security may
    /// hide rows.
    pub async fn select(&self, selection: &Selection) -> Result<Selected, BaselineError> {
        let reading = async {
            let mut connection = self.open().await?;
            let snapshot = self.snapshot(&mut connection).await?;
            tables::check(&snapshot, &selection::TABLES).await?;
            selection::read(&snapshot, selection).await
        };
        let within = tokio::time::timeout(self.deadline, reading).await;
        within.map_err(|_| errors::timed_out(self.deadline))?
    }

    async fn open(&self) -> Result<Connection, BaselineError> {
        self.connector.open(&self.settings).await.map_err(|error| errors::query_error(&error))
    }

    /// Begins a transaction that sees one state of every zone and changes nothing.
    async fn snapshot<'c>(
        &self,
        connection: &'c mut Connection,
    ) -> Result<Transaction<'c>, BaselineError> {
        let query_error = |error| errors::query_error(&error);
        let snapshot = connection
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(query_error)?;
        // Caracal's policies show all zones only to a session with this setting.
        let millis = self.deadline.as_millis();
        let session_settings = format!(
            "SET LOCAL caracal.zone_id = '*'; SET LOCAL statement_timeout = {}",
            i32::try_from(millis).unwrap_or(i32::MAX)
        );
        snapshot.batch_execute(&session_settings).await.map_err(query_error)?;
        if let Some(schema) = &self.settings.schema {
            // Local to the transaction: a pooler gives the connection to another client
            // afterwards.
            let schema = format!("\"{}\"", schema.replace('"', "\"\""));
            let path = "SELECT set_config('search_path', $1, true)";
            snapshot.query_typed(path, &[(&schema, Type::TEXT)]).await.map_err(query_error)?;
        }
        Ok(snapshot)
    }
}

impl Baseline for Postgres {
    fn read<'a>(
        &'a mut self,
        scope: Scope,
        add: &'a mut (dyn FnMut(&BaselineFact<'_>) + Send),
    ) -> BaselineFuture<'a> {
        Box::pin(async move {
            let begun = Instant::now();
            let window = match (scope, self.read) {
                (Scope::Incremental(window), Some(read)) => {
                    window.min(read.elapsed() + LONGEST_TRANSACTION)
                }
                (Scope::Incremental(window) | Scope::Full(window), _) => window,
            };
            tokio::time::timeout(self.deadline, self.read_since(window, add))
                .await
                .map_err(|_| errors::timed_out(self.deadline))??;
            self.read = Some(begun);
            Ok(())
        })
    }
}

/// Omits the address: it holds a password.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
