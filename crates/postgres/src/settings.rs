//! Settings that name Caracal's Postgres: `DATABASE_URL` and `DATABASE_TLS_CA_FILE`.

use std::path::Path;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use zeroize::Zeroizing;

use address::Address;
pub use error::PostgresError;
pub(crate) use error::Problem;

mod address;
mod error;
mod parameters;

pub(crate) const URL: &str = "DATABASE_URL";
const URL_FILE: &str = "DATABASE_URL_FILE";
pub(crate) const CA_FILE: &str = "DATABASE_TLS_CA_FILE";

/// The address of Postgres and the way to connect.
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// The schema of Caracal's tables, instead of the role's search path.
    pub(crate) schema: Option<String>,
    /// The authorities to trust instead of the system's.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "read only with TLS"))]
    pub(crate) authorities: Option<Authorities>,
}

/// The content of a certificate file.
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "read only with TLS"))]
pub(crate) struct Authorities {
    /// The setting that names the file.
    pub(crate) setting: &'static str,
    pub(crate) pem: Vec<u8>,
}

/// Rejects an environment setting that is not UTF-8, without showing its value.
pub(crate) fn check_environment() -> Result<(), PostgresError> {
    let is_text =
        |name: &&str| !matches!(std::env::var(name), Err(std::env::VarError::NotUnicode(_)));
    let wrong = [URL, URL_FILE, CA_FILE].into_iter().find(|name| !is_text(name));
    wrong.map_or(Ok(()), |setting| Err(PostgresError::new(setting, Problem::NotText)))
}

/// Reads the settings by name. `DATABASE_URL_FILE` overrides `DATABASE_URL`, as in Caracal's
/// own services. `DATABASE_TLS_CA_FILE` overrides `sslrootcert`: containers that keep the file
/// elsewhere may share the address.
pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, PostgresError> {
    let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
    let (setting, text) = match lookup(URL_FILE) {
        None => (URL, lookup(URL).map(Zeroizing::new)),
        Some(path) => match std::fs::read_to_string(Path::new(&path)) {
            Ok(text) => (URL_FILE, Some(Zeroizing::new(text))),
            Err(error) => {
                return Err(PostgresError::new(URL_FILE, Problem::Unreadable(error.kind())));
            }
        },
    };
    let wrong = |problem| PostgresError::new(setting, problem);
    let text = text.ok_or_else(|| wrong(Problem::Unset))?;
    let Address { mut config, sslmode, root, schema } =
        Address::parse(text.trim()).map_err(wrong)?;
    let named = match (lookup(CA_FILE), root) {
        (Some(path), _) => Some((CA_FILE, path, Problem::Unreadable as fn(_) -> _)),
        (None, Some(path)) => Some((setting, path, Problem::UnreadableRoot as fn(_) -> _)),
        (None, None) => None,
    };
    let authorities = named
        .map(|(setting, path, problem)| match std::fs::read(path.trim()) {
            Ok(pem) => Ok(Authorities { setting, pem }),
            Err(error) => Err(PostgresError::new(setting, problem(error.kind()))),
        })
        .transpose()?;
    let sslmode = match (sslmode, &authorities) {
        (None, Some(_)) => SslMode::Require,
        (None, None) => SslMode::Prefer,
        (Some(SslMode::Disable | SslMode::Prefer), Some(named)) => {
            return Err(PostgresError::new(named.setting, Problem::NeedsTls));
        }
        (Some(mode), _) => mode,
    };
    config.ssl_mode(match sslmode {
        SslMode::Prefer if !cfg!(feature = "tls") => SslMode::Disable,
        SslMode::Require if !cfg!(feature = "tls") => {
            let setting = authorities.map_or(setting, |named| named.setting);
            return Err(PostgresError::new(setting, Problem::NoTls));
        }
        mode => mode,
    });
    if config.get_application_name().is_none() {
        config.application_name("caracal-revocation");
    }
    Ok(Settings { config, schema, authorities })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Result<Settings, PostgresError> {
        read(|name| (name == URL).then(|| url.to_owned()))
    }

    fn error(name: &'static str, value: &str) -> PostgresError {
        read(|setting| (setting == name).then(|| value.to_owned())).err().unwrap()
    }

    #[test]
    fn names_the_setting_at_fault_and_never_its_value() {
        assert_eq!(error("OTHER", "x").setting(), URL);
        assert_eq!(error(URL_FILE, "/nowhere/at/all").setting(), URL_FILE);
        for address in [
            "postgres://user:hunter2@host:port/db",
            "hunter2",
            "redis://hunter2@x",
            "host=x password=hunter2",
            "postgres://u:p@x?hunter2=y@host/db",
            "postgres://u:p@host/db?hunter2",
            "postgres://u:p@host/db?sslmode=hunter2",
            "postgres://u:p@host/db?port=hunter2",
            "postgres://u:p@host/db?hunter%32=x",
            "postgres://u:p@host/db?password=hunter2&other=x",
            "postgres://u:p@host/db?sslrootcert=/hunter2",
        ] {
            let error = error(URL, address);
            assert_eq!(error.setting(), URL);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn accepts_parameters_of_libpq_prisma_and_pgx() {
        for query in [
            "sslmode=disable",
            "sslmode=allow",
            "sslmode=prefer&application_name=me&connect_timeout=3",
            "schema=public&pgbouncer=true&connection_limit=1&pool_timeout=0",
            "sslaccept=strict&statement_cache_size=0&socket_timeout=5",
            "pool_max_conns=4&pool_min_conns=1&default_query_exec_mode=simple_protocol",
            "target_session_attrs=read-write&keepalives=1&keepalives_idle=30",
            "",
        ] {
            let read = settings(&format!("postgresql://u:p%40@h:6432/d?{query}"));
            let read = read.map(|it| it.config).map_err(|error| error.to_string()).unwrap();
            assert_eq!(read.get_dbname(), Some("d"), "{query}");
            assert_eq!(read.get_password(), Some(&b"p@"[..]), "{query}");
        }
        let read = settings("postgres://u@h/d?schema=ca%22ra&application_name=me").ok().unwrap();
        assert_eq!(read.schema.as_deref(), Some("ca\"ra"));
        assert_eq!(read.config.get_application_name(), Some("me"));
    }

    #[test]
    fn rejects_other_parameters_by_name() {
        for (query, expected) in [
            ("sslcert=x", "the parameter sslcert is not supported; accepted are sslmode, "),
            ("pgbouncer=true&Schema=x", "the parameter Schema is not supported"),
            ("sslmode=no-verify", "the value of the parameter sslmode is not disable, allow"),
            ("sslmode=disable&sslmode=require", "the parameter sslmode is given twice"),
            (
                "sslaccept=accept_invalid_certs",
                "the value of the parameter sslaccept is not strict",
            ),
            ("connect_timeout=soon", "the value of the parameter connect_timeout is not one"),
            ("schema=", "the value of the parameter schema is not the name of a schema"),
            ("schema=%ff", "the value of the parameter schema is not percent-encoded UTF-8"),
        ] {
            let text = error(URL, &format!("postgres://u:p@h/d?{query}")).to_string();
            assert!(text.starts_with("DATABASE_URL: ") && text.contains(expected), "{text}");
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn requires_tls_where_address_or_authority_asks_for_it() {
        let mode = |url: &str, ca: Option<&str>| {
            read(|name| match name {
                URL => Some(format!("postgres://u@h/d{url}")),
                CA_FILE => ca.map(str::to_owned),
                _ => None,
            })
            .map(|read| read.config.get_ssl_mode())
            .map_err(|error| error.to_string())
        };
        for required in ["require", "verify-ca", "verify-full"] {
            assert_eq!(mode(&format!("?sslmode={required}"), None), Ok(SslMode::Require));
        }
        assert_eq!(mode("", None), Ok(SslMode::Prefer));
        assert_eq!(mode("?sslrootcert=system", None), Ok(SslMode::Require));
        // The content is checked later.
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(mode("", Some(file)), Ok(SslMode::Require));
        assert_eq!(mode(&format!("?sslrootcert={file}"), None), Ok(SslMode::Require));
        assert_eq!(mode("?sslrootcert=/nowhere", Some(file)), Ok(SslMode::Require));
        for weak in ["disable", "allow", "prefer"] {
            let text = mode(&format!("?sslmode={weak}"), Some(file)).unwrap_err();
            assert!(text.starts_with("DATABASE_TLS_CA_FILE: an authority is named"), "{text}");
            let url = format!("?sslmode={weak}&sslrootcert={file}");
            assert!(mode(&url, None).unwrap_err().starts_with("DATABASE_URL: an authority"));
        }
        let text = mode("", Some("/nowhere/at/all")).unwrap_err();
        assert!(text.starts_with("DATABASE_TLS_CA_FILE: the file that it names"), "{text}");
        let text = mode("?sslrootcert=/nowhere/at/all", None).unwrap_err();
        assert!(text.starts_with("DATABASE_URL: the file that sslrootcert names"), "{text}");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn rejects_tls_without_the_feature() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let error = error(URL, &format!("postgres://u@h/d?sslmode={mode}"));
            assert!(error.to_string().contains("feature `tls`"), "{error}");
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let error = error(URL, &format!("postgres://u@h/d?sslrootcert={file}"));
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }
}
