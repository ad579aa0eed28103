//! Postgres as a [`Baseline`].

use std::fmt;
use std::time::{Duration, Instant};

use caracal_revocation_state::Known;
use caracal_revocation_stream::{Baseline, BaselineError, BaselineFuture, Scope};
use tokio_postgres::IsolationLevel;
use tokio_postgres::types::Type;

use crate::connection::Connector;
use crate::settings::{self, PostgresError, Settings};
use crate::{errors, tables};

/// How long one reading may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// A transaction shows what it wrote when it commits, dated by when it began: news are read again
/// from so long before the last reading.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(15 * 60);

/// Caracal's Postgres, to be given to a follower as its baseline.
///
/// | setting | meaning |
/// |---|---|
/// | `DATABASE_URL` | `postgres://user:password@host:port/database`, read from the file that `DATABASE_URL_FILE` names, if that is set |
/// | `DATABASE_TLS_CA_FILE` | PEM: the authorities to trust instead of the system's; counts before `sslrootcert` |
///
/// The address may have these parameters. Any other is an error that names it.
///
/// | parameter | meaning |
/// |---|---|
/// | `sslmode` | `disable`; `allow` or `prefer` (default): TLS if the server offers it; `require`, `verify-ca` or `verify-full`: only TLS. Certificate and host name are always checked |
/// | `sslrootcert` | path of a PEM file with the authorities to trust, or `system` |
/// | `sslaccept` | `strict`, which is always so |
/// | `schema` | the schema of Caracal's tables, instead of the role's search path |
/// | `user`, `password`, `host`, `hostaddr`, `port`, `dbname`, `options`, `application_name`, `connect_timeout`, `tcp_user_timeout`, `keepalives`, `keepalives_idle`, `keepalives_interval`, `keepalives_retries`, `target_session_attrs`, `channel_binding`, `sslnegotiation`, `load_balance_hosts` | as for [`tokio_postgres::Config`] |
/// | `pgbouncer`, `connection_limit`, `pool_timeout`, `socket_timeout`, `statement_cache_size` (Prisma); `pool_*`, `default_query_exec_mode`, `statement_cache_capacity`, `description_cache_capacity` (pgx) | accepted, without effect: a reading has no pool and prepares no statement |
///
/// With an authority named, TLS is required: another `sslmode` than the last three is an error.
///
/// Each reading opens a connection of its own, and ends within 60 seconds: the transaction with
/// ROLLBACK and the connection with Terminate, so that a pooler can use its own again.
pub struct Postgres {
    settings: Settings,
    connector: Connector,
    deadline: Duration,
    /// When the last reading that was whole began.
    read: Option<Instant>,
}

impl Postgres {
    /// The Postgres that the environment names.
    ///
    /// # Errors
    ///
    /// [`PostgresError`] names the setting that is missing or cannot be used.
    pub fn from_env() -> Result<Self, PostgresError> {
        settings::check_environment()?;
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The Postgres that the settings name which `lookup` finds.
    ///
    /// # Errors
    ///
    /// [`PostgresError`] names the setting that is missing or cannot be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, PostgresError> {
        let settings = settings::read(lookup)?;
        let connector = Connector::new(&settings)?;
        Ok(Self { settings, connector, deadline: DEADLINE, read: None })
    }

    /// Gives one reading so much time, instead of 60 seconds.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    async fn read_since(
        &self,
        window: Duration,
        add: &mut (dyn FnMut(&Known<'_>) + Send),
    ) -> Result<(), BaselineError> {
        let refused = |error| errors::refused(&error);
        let mut connection = self.connector.open(&self.settings).await.map_err(refused)?;
        let snapshot = connection
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(refused)?;
        // Caracal's policies show every zone to who says this, and otherwise none.
        let millis = self.deadline.as_millis();
        let scene = format!(
            "SET LOCAL caracal.zone_id = '*'; SET LOCAL statement_timeout = {}",
            i32::try_from(millis).unwrap_or(i32::MAX)
        );
        snapshot.batch_execute(&scene).await.map_err(refused)?;
        if let Some(schema) = &self.settings.schema {
            // Within the transaction: a pooler gives the connection to somebody else after it.
            let schema = format!("\"{}\"", schema.replace('"', "\"\""));
            let path = "SELECT set_config('search_path', $1, true)";
            snapshot.query_typed(path, &[(&schema, Type::TEXT)]).await.map_err(refused)?;
        }
        tables::check(&snapshot).await?;
        tables::read(&snapshot, window, add).await
    }
}

impl Baseline for Postgres {
    fn read<'a>(
        &'a mut self,
        scope: Scope,
        add: &'a mut (dyn FnMut(&Known<'_>) + Send),
    ) -> BaselineFuture<'a> {
        Box::pin(async move {
            let begun = Instant::now();
            let window = match (scope, self.read) {
                (Scope::News(window), Some(read)) => {
                    window.min(read.elapsed() + LONGEST_TRANSACTION)
                }
                (Scope::News(window) | Scope::Window(window), _) => window,
            };
            tokio::time::timeout(self.deadline, self.read_since(window, add))
                .await
                .map_err(|_| errors::late(self.deadline))??;
            self.read = Some(begun);
            Ok(())
        })
    }
}

/// Without the address: it holds a password.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
