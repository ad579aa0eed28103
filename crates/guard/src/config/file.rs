//! The configuration file.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::error::ConfigError;
use crate::routes::Profile;

/// The content of the file. Every key is optional; an unknown one is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) listen: Listen,
    pub(crate) proxy: Proxy,
    pub(crate) tokens: Tokens,
    pub(crate) policy: Policy,
    pub(crate) operations: Operations,
    pub(crate) envoy: Envoy,
    pub(crate) limits: Limits,
    pub(crate) routes: Vec<Route>,
    /// Settings of the library by name, such as `REDIS_URL`.
    pub(crate) settings: Settings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) proxy: Option<String>,
    pub(crate) check: Option<String>,
    pub(crate) ext_authz: Option<String>,
    pub(crate) spoe: Option<String>,
    pub(crate) operations: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Proxy {
    pub(crate) upstream: Option<String>,
    pub(crate) upstream_http2: Option<bool>,
    pub(crate) upstream_ca_file: Option<String>,
    pub(crate) tls_cert: Option<String>,
    pub(crate) tls_key: Option<String>,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) upgrades: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tokens {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Vec<String>,
    pub(crate) zone: Option<String>,
    pub(crate) jwks_url: Option<String>,
    pub(crate) uses: Option<Vec<String>>,
    pub(crate) profile: Profile,
    pub(crate) single_use: Option<bool>,
    pub(crate) insecure_single_use_fail_open: Option<bool>,
    pub(crate) insecure_unverified_claims: Option<bool>,
    pub(crate) insecure_http_keys: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Policy {
    /// The folder with the policy of the zone: `*.rego`, `data.json` and `version`.
    pub(crate) folder: Option<std::path::PathBuf>,
    /// The OPA server that evaluates the policy, instead of this process.
    pub(crate) url: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Operations {
    /// The path of a file with the bearer token of `/metrics` and of details at `/status`.
    pub(crate) bearer_file: Option<std::path::PathBuf>,
    /// The path of a file with the bearer token of `/revocations/reload`.
    pub(crate) reload_token_file: Option<std::path::PathBuf>,
    /// Shows the details at `/status` and `/` without a token.
    pub(crate) insecure_show_details: Option<bool>,
    /// The name under which the follower writes receipts.
    pub(crate) replica: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Envoy {
    pub(crate) timeout_from_exp: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) connections: Option<u32>,
    pub(crate) header_timeout_ms: Option<u64>,
    pub(crate) idle_ms: Option<u64>,
    pub(crate) unread_ms: Option<u64>,
    pub(crate) drain_ms: Option<u64>,
    pub(crate) headers: Option<usize>,
    pub(crate) header_bytes: Option<u32>,
    pub(crate) streams: Option<u32>,
    pub(crate) connect_ms: Option<u64>,
    pub(crate) response_ms: Option<u64>,
    pub(crate) upload_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) methods: Vec<String>,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) targets: Vec<String>,
    #[serde(default)]
    pub(crate) uses: Vec<String>,
    #[serde(default)]
    pub(crate) chain_contains: Vec<String>,
    pub(crate) subject_type: Option<String>,
    #[serde(default)]
    pub(crate) session: bool,
    #[serde(default)]
    pub(crate) delegation: bool,
    pub(crate) max_hops: Option<u32>,
    #[serde(default)]
    pub(crate) policy: bool,
    #[serde(default)]
    pub(crate) anonymous: bool,
    pub(crate) deny_after_ms: Option<u64>,
    #[serde(default)]
    pub(crate) cut_when_unknown: bool,
    #[serde(default)]
    pub(crate) insecure_never_cut: bool,
}

/// Settings by name. `Debug` hides the values, because they may be secrets.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Settings(pub(crate) HashMap<String, String>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl File {
    /// Reads the file. The error names the line and the key, and shows no value.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = format!("--config {}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::new(&name, error))?;
        Self::parse(&text).map_err(|error| ConfigError::new(name, error))
    }

    /// Parses the text. The error holds the line, and never the text itself.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {}", without_value(error.message()))
        })
    }
}

/// Removes the value, which may be a secret, from the message about a wrong one: "invalid type:
/// integer `7`, expected a string".
fn without_value(message: &str) -> String {
    for kind in ["invalid type", "invalid value", "unknown variant"] {
        let rest = message.strip_prefix(kind).and_then(|rest| rest.rsplit_once(", expected "));
        if let Some((_, expected)) = rest {
            return format!("{kind}, expected {}", expected.trim_end());
        }
    }
    message.to_owned()
}
