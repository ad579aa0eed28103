//! The settings of the reverse proxy.

use std::path::PathBuf;

use http::{HeaderName, Uri};
use ipnet::IpNet;

use super::error::ConfigError;
use super::file;
use super::values::{parse_bool, split_list};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxyConfig {
    /// The service behind the reverse proxy: a scheme and an authority.
    pub(crate) upstream: Uri,
    /// `true` if every request goes to the service over HTTP/2, not only gRPC.
    pub(crate) upstream_http2: bool,
    /// The authorities of the service's certificate, instead of the system's.
    pub(crate) upstream_ca_file: Option<PathBuf>,
    /// The certificate of the reverse proxy, if it serves TLS.
    pub(crate) tls: Option<TlsFiles>,
    /// The peers whose `Forwarded` and `X-Forwarded-…` are passed on.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The protocols that a connection may be upgraded to, in lower case.
    pub(crate) upgrades: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl ProxyConfig {
    /// Resolves the settings. Returns `None` if there is no upstream.
    pub(super) fn resolve(
        flag: &Option<String>,
        environment: &impl Fn(&str) -> Option<String>,
        file: &file::Proxy,
    ) -> Result<Option<Self>, ConfigError> {
        let text = |name: &str, filed: &Option<String>| environment(name).or_else(|| filed.clone());
        let upstream = flag.clone().or_else(|| text("CARACAL_GUARD_UPSTREAM", &file.upstream));
        let Some(upstream) = upstream else { return Ok(None) };
        let http2 = "CARACAL_GUARD_UPSTREAM_HTTP2";
        let from_environment = environment(http2).map(|value| parse_bool(http2, &value));
        let trusted = "CARACAL_GUARD_TRUSTED_PROXIES";
        let networks = environment(trusted)
            .map_or_else(|| file.trusted_proxies.clone(), |value| split_list(&value));
        let default_upgrades = || vec!["websocket".to_owned()];
        let upgrades = file.upgrades.clone().unwrap_or_else(default_upgrades);
        Ok(Some(Self {
            upstream: parse_upstream(&upstream)?,
            upstream_http2: from_environment.transpose()?.or(file.upstream_http2).unwrap_or(false),
            upstream_ca_file: text("CARACAL_GUARD_UPSTREAM_CA_FILE", &file.upstream_ca_file)
                .map(PathBuf::from),
            tls: tls(
                text("CARACAL_GUARD_TLS_CERT", &file.tls_cert),
                text("CARACAL_GUARD_TLS_KEY", &file.tls_key),
            )?,
            trusted_proxies: networks
                .iter()
                .map(|text| parse_network(text))
                .collect::<Result<_, _>>()?,
            upgrades: upgrades.iter().map(|text| parse_upgrade(text)).collect::<Result<_, _>>()?,
        }))
    }
}

fn tls(cert: Option<String>, key: Option<String>) -> Result<Option<TlsFiles>, ConfigError> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert: cert.into(), key: key.into() })),
        (Some(_), None) => Err(ConfigError::new(
            "CARACAL_GUARD_TLS_KEY",
            "missing: a certificate (CARACAL_GUARD_TLS_CERT) needs its key",
        )),
        (None, Some(_)) => Err(ConfigError::new(
            "CARACAL_GUARD_TLS_CERT",
            "missing: a key (CARACAL_GUARD_TLS_KEY) needs its certificate",
        )),
    }
}

/// Accepts a network such as `10.0.0.0/8`, or one address.
fn parse_network(value: &str) -> Result<IpNet, ConfigError> {
    let network =
        value.parse::<IpNet>().or_else(|_| value.parse::<std::net::IpAddr>().map(IpNet::from));
    network.map_err(|_| {
        let problem = format!("{value:?}: expected networks such as 10.0.0.0/8 or addresses");
        ConfigError::new("CARACAL_GUARD_TRUSTED_PROXIES", problem)
    })
}

/// Accepts the name of a protocol. HTTP itself is none: requests inside an upgraded connection
/// would not be checked.
fn parse_upgrade(value: &str) -> Result<String, ConfigError> {
    let name = value.to_ascii_lowercase();
    let problem = if HeaderName::try_from(name.as_str()).is_err() {
        "expected names of protocols, such as websocket"
    } else if name == "h2c" || name.starts_with("http") || name.starts_with("tls") {
        "cannot hold h2c, HTTP or TLS: requests inside such a connection would not be checked"
    } else {
        return Ok(name);
    };
    Err(ConfigError::new("proxy.upgrades", problem))
}

fn parse_upstream(value: &str) -> Result<Uri, ConfigError> {
    let setting = "CARACAL_GUARD_UPSTREAM";
    let uri: Uri = value
        .trim()
        .parse()
        .map_err(|_| ConfigError::new(setting, "expected a URL such as http://127.0.0.1:3000"))?;
    let problem = match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            "holds a user or a password"
        }
        (Some("http" | "https"), Some(_))
            if !matches!(uri.path(), "" | "/") || uri.query().is_some() =>
        {
            "must have no path and no query"
        }
        (Some("http" | "https"), Some(_)) => return Ok(uri),
        _ => "expected a URL such as http://127.0.0.1:3000",
    };
    Err(ConfigError::new(setting, problem))
}
