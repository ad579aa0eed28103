//! The parameters that an address may have.

/// The parameters that the driver reads.
pub(super) const DRIVER_PARAMETERS: &[&str] = &[
    "user",
    "password",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "options",
    "application_name",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "sslnegotiation",
    "load_balance_hosts",
];

/// Parameters for pools and prepared statements (Prisma, pgx). A read uses neither, so they are
/// ignored.
pub(super) const IGNORED_PARAMETERS: &[&str] = &[
    "pgbouncer",
    "connection_limit",
    "pool_timeout",
    "socket_timeout",
    "statement_cache_size",
    "pool_max_conns",
    "pool_min_conns",
    "pool_max_conn_lifetime",
    "pool_max_conn_lifetime_jitter",
    "pool_max_conn_idle_time",
    "pool_health_check_period",
    "default_query_exec_mode",
    "statement_cache_capacity",
    "description_cache_capacity",
];

/// Returns the names of all parameters that an address may have.
pub(super) fn accepted() -> impl Iterator<Item = &'static str> {
    let ours = ["sslmode", "sslrootcert", "sslaccept", "schema"];
    ours.into_iter().chain([DRIVER_PARAMETERS, IGNORED_PARAMETERS].concat())
}
