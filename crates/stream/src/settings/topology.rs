//! The settings of Redis' location: one server, sentinels, or a cluster.

use std::sync::Arc;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::error::{Problem, SettingsError};
use super::values::{flag, secret};
use crate::topology::{Address, Nodes, Sentinels, Topology};

const URL: &str = "REDIS_URL";
const HOST: &str = "REDIS_HOST";
const PRIMARY_URL: &str = "REDIS_PRIMARY_URL";
const TLS: &str = "REDIS_TLS";
const SENTINELS: &str = "REDIS_SENTINELS";
const NODES: &str = "REDIS_CLUSTER_NODES";
const MASTER: &str = "REDIS_SENTINEL_MASTER";
/// The setting of the file that may contain `REDIS_URL`.
const URL_FILE: &str = "REDIS_URL_FILE";
/// Each setting of a login, and the setting of the file that may contain it.
const LOGIN: [&str; 4] = ["REDIS_USER", "REDIS_USER_FILE", "REDIS_PASSWORD", "REDIS_PASSWORD_FILE"];
const SENTINEL_LOGIN: [&str; 4] = [
    "REDIS_SENTINEL_USER",
    "REDIS_SENTINEL_USER_FILE",
    "REDIS_SENTINEL_PASSWORD",
    "REDIS_SENTINEL_PASSWORD_FILE",
];

/// Returns the location of the streams, and the primary of a replica that is read.
pub(super) fn topology(
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<(Topology, Option<ConnectionInfo>), SettingsError> {
    if lookup(NODES).is_some() {
        return Ok((Topology::Cluster(Arc::new(nodes(lookup)?)), None));
    }
    if lookup(SENTINELS).is_some() {
        return Ok((Topology::Sentinel(Arc::new(sentinels(lookup)?)), None));
    }
    if lookup(TLS).is_some() {
        return Err(SettingsError::new(TLS, Problem::OneServer));
    }
    if let Some(lone) =
        [MASTER].into_iter().chain(SENTINEL_LOGIN).find(|name| lookup(name).is_some())
    {
        return Err(SettingsError::new(SENTINELS, Problem::Missing(lone)));
    }
    let server = with_certificates(server(lookup)?, URL, lookup)?;
    let primary = primary(lookup)?;
    let primary =
        primary.map(|primary| with_certificates(primary, PRIMARY_URL, lookup)).transpose()?;
    Ok((Topology::One(Box::new(server)), primary))
}

fn sentinels(lookup: &impl Fn(&str) -> Option<String>) -> Result<Sentinels, SettingsError> {
    contradicts(lookup, SENTINELS)?;
    let master = lookup(MASTER).ok_or(SettingsError::new(MASTER, Problem::Missing(SENTINELS)))?;
    let like = anywhere(lookup)?;
    let primary = with_login(like.clone(), lookup, LOGIN)?;
    let sentinel = with_login(like, lookup, SENTINEL_LOGIN)?;
    let sentinels = addresses(lookup, SENTINELS, 26379)?;
    let sentinels = sentinels.iter().map(|address| address.of(&sentinel)).collect();
    Ok(Sentinels::new(sentinels, master.trim(), primary))
}

fn nodes(lookup: &impl Fn(&str) -> Option<String>) -> Result<Nodes, SettingsError> {
    contradicts(lookup, NODES)?;
    if lookup(SENTINELS).is_some() {
        return Err(SettingsError::new(SENTINELS, Problem::Contradiction(NODES)));
    }
    let like = with_login(anywhere(lookup)?, lookup, LOGIN)?;
    Ok(Nodes::new(addresses(lookup, NODES, 6379)?, like))
}

/// Returns an error if another setting names a server too.
fn contradicts(
    lookup: &impl Fn(&str) -> Option<String>,
    with: &'static str,
) -> Result<(), SettingsError> {
    let given = [URL, URL_FILE, HOST, PRIMARY_URL, "REDIS_PRIMARY_URL_FILE"];
    let second = given.into_iter().find(|name| lookup(name).is_some());
    second.map_or(Ok(()), |name| Err(SettingsError::new(name, Problem::Contradiction(with))))
}

/// Returns the connection settings for servers that sentinels or nodes name.
fn anywhere(lookup: &impl Fn(&str) -> Option<String>) -> Result<ConnectionInfo, SettingsError> {
    let is_tls = flag(lookup, TLS)?;
    let like = if is_tls { "rediss://anywhere" } else { "redis://anywhere" };
    let info = like
        .into_connection_info()
        .map_err(|_| SettingsError::new(TLS, Problem::NotAnAddress(NEEDS_FEATURE)))?;
    with_certificates(info, TLS, lookup)
}

const NEEDS_FEATURE: &str = " (TLS needs the feature `tls`)";

/// Parses a list of `host:port` or `host`.
fn addresses(
    lookup: &impl Fn(&str) -> Option<String>,
    setting: &'static str,
    port: u16,
) -> Result<Vec<Address>, SettingsError> {
    let list = lookup(setting).unwrap_or_default();
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let address =
        |entry| address(entry, port).ok_or(SettingsError::new(setting, Problem::NotHostAndPort));
    let mut all: Vec<Address> = Vec::new();
    for entry in entries.map(address) {
        let entry = entry?;
        // A server in the list twice would have two votes.
        if all.contains(&entry) {
            return Err(SettingsError::new(setting, Problem::Twice));
        }
        all.push(entry);
    }
    if all.is_empty() { Err(SettingsError::new(setting, Problem::NotHostAndPort)) } else { Ok(all) }
}

/// Parses `host`, `host:port`, `[v6]:port` or `v6`.
fn address(entry: &str, otherwise: u16) -> Option<Address> {
    let (host, port) = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        None if entry.matches(':').count() > 1 => (entry, None),
        None => entry.split_once(':').map_or((entry, None), |(host, port)| (host, Some(port))),
    };
    let is_host = !host.is_empty() && !host.contains(['/', '@', ' ', '[', ']']);
    let port = port.map_or(Some(otherwise), |port| port.parse().ok())?;
    is_host.then(|| Address { host: host.into(), port })
}

fn server(lookup: &impl Fn(&str) -> Option<String>) -> Result<ConnectionInfo, SettingsError> {
    if let Some(url) = secret(lookup, URL, URL_FILE)? {
        // The error of the redis crate is dropped, because it may quote the address with its
        // password.
        let info = url.trim().into_connection_info().map_err(|_| {
            let hint = if url.trim_start().starts_with("rediss:") && !cfg!(feature = "tls") {
                " (rediss:// needs the feature `tls`)"
            } else {
                ""
            };
            SettingsError::new(URL, Problem::NotAnAddress(hint))
        })?;
        return with_login(info, lookup, LOGIN);
    }
    let host = lookup(HOST).ok_or(SettingsError::new(URL, Problem::NoServer))?;
    let port = match lookup("REDIS_PORT") {
        None => 6379,
        Some(text) => {
            text.trim().parse().map_err(|_| SettingsError::new("REDIS_PORT", Problem::NotAPort))?
        }
    };
    let address = Address { host: host.trim().into(), port };
    let info = ConnectionAddr::Tcp(address.host.to_string(), port)
        .into_connection_info()
        .map_err(|_| SettingsError::new(HOST, Problem::NotAnAddress("")))?;
    with_login(info, lookup, LOGIN)
}

fn primary(
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<Option<ConnectionInfo>, SettingsError> {
    let Some(url) = secret(lookup, PRIMARY_URL, "REDIS_PRIMARY_URL_FILE")? else {
        return Ok(None);
    };
    let info = url
        .trim()
        .into_connection_info()
        .map_err(|_| SettingsError::new(PRIMARY_URL, Problem::NotAnAddress("")))?;
    with_login(info, lookup, LOGIN).map(Some)
}

/// Adds a user and a password from their own settings to an address without a password.
fn with_login(
    info: ConnectionInfo,
    lookup: &impl Fn(&str) -> Option<String>,
    [user, user_file, password, password_file]: [&'static str; 4],
) -> Result<ConnectionInfo, SettingsError> {
    let mut login = info.redis_settings().clone();
    if login.password().is_some() {
        return Ok(info);
    }
    let line = |text: &str| text.trim_end_matches(['\r', '\n']).to_owned();
    if let Some(user) = secret(lookup, user, user_file)?.filter(|_| login.username().is_none()) {
        login = login.set_username(line(&user));
    }
    if let Some(password) = secret(lookup, password, password_file)? {
        login = login.set_password(line(&password));
    }
    Ok(info.set_redis_settings(login))
}

#[cfg(feature = "tls")]
use super::tls::with_certificates;

#[cfg(not(feature = "tls"))]
fn with_certificates(
    server: ConnectionInfo,
    _setting: &'static str,
    _lookup: &impl Fn(&str) -> Option<String>,
) -> Result<ConnectionInfo, SettingsError> {
    Ok(server)
}
