//! `DATABASE_URL`: where Caracal's Postgres is.

use std::path::Path;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use zeroize::Zeroizing;

pub(crate) const URL: &str = "DATABASE_URL";
const URL_FILE: &str = "DATABASE_URL_FILE";

/// A setting that the baseline cannot start with.
///
/// It never holds the value: that holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresError {
    setting: &'static str,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Unset,
    Unreadable(std::io::ErrorKind),
    NotAnAddress,
    #[cfg_attr(feature = "tls", allow(dead_code))]
    NoTls,
    #[cfg(feature = "tls")]
    Tls,
}

impl PostgresError {
    #[cfg(feature = "tls")]
    pub(crate) const fn tls() -> Self {
        Self { setting: URL, problem: Problem::Tls }
    }

    /// The setting at fault.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}

impl std::fmt::Display for PostgresError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.setting)?;
        match &self.problem {
            Problem::Unset => f.write_str(
                "not set: the address of Caracal's Postgres, such as \
                 postgres://caracal_revocation@host/caracal",
            ),
            Problem::Unreadable(kind) => write!(f, "the file that it names cannot be read: {kind}"),
            Problem::NotAnAddress => {
                f.write_str("not an address: postgres://user:password@host/database is expected")
            }
            #[cfg(feature = "tls")]
            Problem::Tls => f.write_str("TLS cannot be set up on this machine"),
            Problem::NoTls => f.write_str("sslmode=require needs the feature `tls`"),
        }
    }
}

impl std::error::Error for PostgresError {}

/// The settings that `lookup` finds by name: the file counts if both are there, as for Caracal's
/// own services.
pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, PostgresError> {
    let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
    let (setting, text) = match lookup(URL_FILE) {
        None => (URL, lookup(URL).map(Zeroizing::new)),
        Some(path) => match std::fs::read_to_string(Path::new(&path)) {
            Ok(text) => (URL_FILE, Some(Zeroizing::new(text))),
            Err(error) => {
                let problem = Problem::Unreadable(error.kind());
                return Err(PostgresError { setting: URL_FILE, problem });
            }
        },
    };
    let wrong = |problem| PostgresError { setting, problem };
    let text = text.ok_or_else(|| wrong(Problem::Unset))?;
    // What the crate says of the address is left out: it may quote it.
    let mut config: Config = text.trim().parse().map_err(|_| wrong(Problem::NotAnAddress))?;
    if config.get_hosts().is_empty() {
        return Err(wrong(Problem::NotAnAddress));
    }
    if !cfg!(feature = "tls") {
        match config.get_ssl_mode() {
            SslMode::Disable => {}
            SslMode::Prefer => {
                config.ssl_mode(SslMode::Disable);
            }
            _ => return Err(wrong(Problem::NoTls)),
        }
    }
    if config.get_application_name().is_none() {
        config.application_name("caracal-revocation");
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &'static str, value: &'static str) -> PostgresError {
        read(|asked| (asked == name).then(|| value.to_owned())).unwrap_err()
    }

    #[test]
    fn names_the_setting_at_fault_and_never_its_value() {
        assert_eq!(error("OTHER", "x").setting(), URL);
        assert_eq!(error(URL_FILE, "/nowhere/at/all").setting(), URL_FILE);
        for address in ["postgres://user:hunter2@host:port/db", "hunter2", "redis://hunter2@x"] {
            let error = error(URL, address);
            assert_eq!(error.setting(), URL);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn what_asks_for_tls_is_refused_where_there_is_none() {
        let error = error(URL, "postgres://u@h/d?sslmode=require");
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }
}
