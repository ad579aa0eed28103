//! Caracal's Postgres as the baseline of the follower.

use caracal_revocation::Follower;
#[cfg(feature = "postgres")]
use caracal_revocation::baseline::Postgres;

use crate::config::{ConfigError, Database};

/// Without the feature, there is no baseline.
#[cfg(not(feature = "postgres"))]
type Postgres = std::convert::Infallible;

/// Checks the settings of the database. Does not connect.
pub(crate) fn check(database: &Database) -> Result<(), ConfigError> {
    open(database).map(drop)
}

/// Gives the follower the baseline, if a database is configured.
pub(crate) fn add(follower: Follower, database: &Database) -> Result<Follower, ConfigError> {
    match open(database)? {
        None => Ok(follower),
        #[cfg(feature = "postgres")]
        Some(postgres) => Ok(follower.with_baseline(postgres)),
        #[cfg(not(feature = "postgres"))]
        Some(never) => match never {},
    }
}

#[cfg(feature = "postgres")]
fn open(database: &Database) -> Result<Option<Postgres>, ConfigError> {
    if !database.is_set() {
        return Ok(None);
    }
    let postgres = Postgres::from_lookup(|name| database.get(name));
    postgres.map(Some).map_err(|error| ConfigError::of(error.setting(), &error))
}

#[cfg(not(feature = "postgres"))]
fn open(database: &Database) -> Result<Option<Postgres>, ConfigError> {
    if database.is_set() {
        return Err(ConfigError::new(
            "DATABASE_URL",
            "needs a caracal-guard that is built with the feature `postgres`",
        ));
    }
    Ok(None)
}
