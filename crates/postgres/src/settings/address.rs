//! The address of Postgres: a URL with the parameters of libpq, Prisma and pgx.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use zeroize::Zeroizing;

use super::error::Problem;
use super::parameters::{DRIVER_PARAMETERS, IGNORED_PARAMETERS};

const MODES: &str = "disable, allow, prefer, require, verify-ca or verify-full";

/// A parsed address.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) sslmode: Option<SslMode>,
    /// The path in `sslrootcert`.
    pub(super) root: Option<String>,
    pub(super) schema: Option<String>,
}

impl Address {
    /// Parses a URL with the parameters of libpq, Prisma and pgx. The driver accepts fewer, and its
    /// errors may quote the address, so it never sees the whole of it.
    pub(super) fn parse(url: &str) -> Result<Self, Problem> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or(Problem::NotAnAddress)?;
        // Like the driver: everything before the first `@` is user and password.
        let credentials = rest.find('@').map_or(0, |at| at + 1);
        let query = rest.get(credentials..).and_then(|rest| rest.split_once('?'));
        let query = query.map_or("", |(_, query)| query);
        // An `@` here belongs to a password that is not encoded: name no parameter.
        if query.contains('@') {
            return Err(Problem::NotAnAddress);
        }
        let base = url.strip_suffix(query).unwrap_or(url).trim_end_matches('?');
        let mut config = Zeroizing::new(base.to_owned());
        let (mut sslmode, mut root, mut schema) = (None, None, None);
        let mut seen = HashSet::new();
        let mut separator = '?';
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, raw) = parameter.split_once('=').ok_or(Problem::NotAnAddress)?;
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if name.is_empty() || !is_name {
                return Err(Problem::NotAnAddress);
            }
            if !seen.insert(name) {
                return Err(Problem::Repeated(name.into()));
            }
            let wrong = |accepted| Problem::Value(name.into(), accepted);
            let value = percent_decode_str(raw)
                .decode_utf8()
                .map_err(|_| wrong("percent-encoded UTF-8"))?;
            match name {
                "sslmode" => {
                    sslmode = Some(match &*value {
                        "disable" => SslMode::Disable,
                        "allow" | "prefer" => SslMode::Prefer,
                        // The certificate and its name are always checked.
                        "require" | "verify-ca" | "verify-full" => SslMode::Require,
                        _ => return Err(wrong(MODES)),
                    });
                }
                "sslrootcert" if value.is_empty() => return Err(wrong("a path, or system")),
                // The default here, with TLS required, as in libpq.
                "sslrootcert" if value == "system" => sslmode = sslmode.or(Some(SslMode::Require)),
                "sslrootcert" => root = Some(value.into_owned()),
                "sslaccept" if value != "strict" => return Err(wrong("strict")),
                "sslaccept" => {}
                "schema" if value.is_empty() => return Err(wrong("the name of a schema")),
                "schema" => schema = Some(value.into_owned()),
                _ if IGNORED_PARAMETERS.contains(&name) => {}
                _ if DRIVER_PARAMETERS.contains(&name) => {
                    if format!("postgres://host?{parameter}").parse::<Config>().is_err() {
                        return Err(wrong("one that the driver accepts"));
                    }
                    config.push(separator);
                    config.push_str(parameter);
                    separator = '&';
                }
                _ => return Err(Problem::Unknown(name.into())),
            }
        }
        let config: Config = config.parse().map_err(|_| Problem::NotAnAddress)?;
        if config.get_hosts().is_empty() {
            return Err(Problem::NotAnAddress);
        }
        Ok(Self { config, sslmode, root, schema })
    }
}
