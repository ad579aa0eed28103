//! The settings: the contract's environment variables. Each secret can also be read from a file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use caracal_revocation_event::{Key, KeyRing};
use caracal_revocation_state::Options;
use redis::ConnectionInfo;
use zeroize::Zeroizing;

use crate::snapshot::SETTING as SNAPSHOT;
use crate::topology::Topology;
use crate::wire::Certificates;

mod error;
#[cfg(feature = "tls")]
mod tls;
mod topology;
mod values;

use error::Problem;
pub use error::SettingsError;
use values::secret;

/// The location of the streams, the accepted keys, and the staleness bounds.
///
/// | setting | meaning |
/// |---|---|
/// | `REDIS_URL` | `redis://`, `rediss://` (feature `tls`), `unix://`; with user and password |
/// | `REDIS_HOST`, `REDIS_PORT` | instead of `REDIS_URL`; port 6379 if unset |
/// | `REDIS_USER`, `REDIS_PASSWORD` | user and password, unless `REDIS_URL` holds them |
/// | `REDIS_SENTINELS` | instead of `REDIS_URL`: `host:port` of every sentinel, with commas between them |
/// | `REDIS_SENTINEL_MASTER` | the name of the primary at the sentinels |
/// | `REDIS_SENTINEL_USER`, `REDIS_SENTINEL_PASSWORD` | the login at the sentinels themselves |
/// | `REDIS_CLUSTER_NODES` | instead of `REDIS_URL`: `host:port` of some nodes of a cluster, with commas between them |
/// | `REDIS_TLS` | `true`: connections to sentinels, nodes, and the servers that they name use TLS |
/// | `REDIS_PRIMARY_URL` | the primary, if `REDIS_URL` is a replica: it proves that the replica is fresh (without it nothing is fresh), and receives dead letters |
/// | `REDIS_TLS_CA_FILE` | PEM: the authorities that `rediss://` trusts, instead of the system's |
/// | `REDIS_TLS_CERT_FILE`, `REDIS_TLS_KEY_FILE` | PEM: the client certificate and its key |
/// | `STREAMS_HMAC_KEY` | the stream key: hex, at least 32 bytes |
/// | `STREAMS_HMAC_KEY_PREVIOUS` | a key that is also accepted, while keys rotate |
/// | `CARACAL_REVOCATION_SNAPSHOT` | a file to save the state to; see [`Follower::with_snapshot`](crate::Follower::with_snapshot) |
/// | `CARACAL_MODE` | `dev`, `rc` or `stable`; unset counts as published. In a published mode a service is not ready while none of the streams exists |
/// | `REVOCATION_STRICT` | `true`: any history that cannot be proven complete counts as lost; see [`Options::strict`] |
/// | `REVOCATION_DENY_AFTER_MS` | beyond this staleness every request is denied; 60000, or 5000 if strict |
/// | `REVOCATION_WARN_AFTER_MS` | beyond this staleness a warning is logged; 5000, or 3000 if strict |
/// | `REVOCATION_READ_INTERVAL_MS` | the shortest time between two reads while messages come; 0 (none) to 100 |
/// | `REVOCATION_INSECURE_UNPROVEN` | `true`: also follows servers before 7.0, which cannot prove completeness |
///
/// `REDIS_URL`, users, passwords and keys are read from the file that `NAME_FILE` names, if that is
/// set. A published mode without `STREAMS_HMAC_KEY` is an error. In `dev` without it every message
/// is accepted.
///
/// ```
/// use caracal_revocation_stream::Settings;
/// let error = Settings::from_lookup(|_| None).unwrap_err();
/// assert_eq!(error.setting(), "REDIS_URL");
/// ```
#[derive(Clone)]
pub struct Settings {
    pub(crate) topology: Topology,
    pub(crate) certificates: Certificates,
    /// The primary, if a replica is read.
    pub(crate) primary: Option<ConnectionInfo>,
    pub(crate) keys: KeyRing,
    pub(crate) mode: Mode,
    pub(crate) options: Options,
    pub(crate) insecure_unproven: bool,
    pub(crate) snapshot: Option<PathBuf>,
    /// The shortest time between two reads while messages come.
    pub(crate) read_interval: Duration,
}

/// The mode of a service, from `CARACAL_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Development: the key may be missing, and every message is then accepted. Streams may be
    /// missing, and count as empty.
    Dev,
    /// A release candidate: published.
    ReleaseCandidate,
    /// Published. An unset `CARACAL_MODE` means this mode.
    Stable,
}

impl Mode {
    /// Returns `true` if at least one of the streams must exist. Without any, the server or the
    /// database is the wrong one, or was not provisioned.
    pub(crate) const fn requires_streams(self) -> bool {
        matches!(self, Self::ReleaseCandidate | Self::Stable)
    }

    /// Returns the mode that `CARACAL_MODE` names. Unset counts as published.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if it is not `dev`, `rc` or `stable`.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        match lookup("CARACAL_MODE").as_deref().map(str::trim) {
            Some("dev") => Ok(Self::Dev),
            Some("rc") => Ok(Self::ReleaseCandidate),
            Some("stable" | "") | None => Ok(Self::Stable),
            Some(_) => Err(SettingsError::new("CARACAL_MODE", Problem::UnknownMode)),
        }
    }
}

impl Settings {
    /// Reads the settings from the environment of this process.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] names the setting that is missing or cannot be used.
    pub fn from_env() -> Result<Self, SettingsError> {
        let not_text = std::cell::Cell::new(None);
        let settings = Self::from_lookup(|name| match std::env::var(name) {
            Ok(value) => Some(value),
            Err(std::env::VarError::NotPresent) => None,
            // The value is not reported, because it may be a secret.
            Err(std::env::VarError::NotUnicode(_)) => {
                not_text.set(Some(name.to_owned()));
                None
            }
        });
        match not_text.take() {
            // Leaks a few bytes, for an error that ends the program.
            Some(name) => Err(SettingsError::new(name.leak(), Problem::NotText)),
            None => settings,
        }
    }

    /// Reads the settings that `lookup` returns by name.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] names the setting that is missing or cannot be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let mode = Mode::from_lookup(lookup)?;
        let options = values::options(&lookup)?;
        let insecure_unproven = values::flag(&lookup, "REVOCATION_INSECURE_UNPROVEN")?;
        if insecure_unproven && options.strict {
            let contradiction = Problem::Contradiction("REVOCATION_STRICT");
            return Err(SettingsError::new("REVOCATION_INSECURE_UNPROVEN", contradiction));
        }
        let read_interval = values::read_interval(&lookup)?;
        let (topology, primary) = topology::topology(&lookup)?;
        #[cfg(feature = "tls")]
        let certificates = tls::certificates(&lookup)?;
        #[cfg(not(feature = "tls"))]
        let certificates = Certificates::default();
        let keys = keys(mode, &lookup)?;
        let snapshot = lookup(SNAPSHOT).map(PathBuf::from);
        if snapshot.is_some() && !keys.verifies() {
            return Err(SettingsError::new(SNAPSHOT, Problem::NothingToSealWith));
        }
        Ok(Self {
            topology,
            certificates,
            primary,
            keys,
            mode,
            options,
            insecure_unproven,
            snapshot,
            read_interval,
        })
    }

    /// Returns these settings with other keys, for programs that create their own.
    #[must_use]
    pub fn with_keys(mut self, keys: KeyRing) -> Self {
        self.keys = keys;
        self
    }

    /// Returns the staleness bounds and the strict mode.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the keys whose signatures are accepted.
    #[must_use]
    pub const fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Returns the mode of the service.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }
}

impl Settings {
    /// Returns the addresses of Redis as text, without a login.
    #[must_use]
    pub fn address(&self) -> String {
        self.topology.to_string()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("topology", &self.topology.to_string())
            .field("keys", &self.keys)
            .field("mode", &self.mode)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn keys(mode: Mode, lookup: &impl Fn(&str) -> Option<String>) -> Result<KeyRing, SettingsError> {
    let key = |setting, file| {
        let text = secret(lookup, setting, file)?;
        let parse = |text: Zeroizing<String>| Key::from_hex(&text);
        text.map(parse)
            .transpose()
            .map_err(|error| SettingsError::new(setting, Problem::Key(error)))
    };
    let current = key("STREAMS_HMAC_KEY", "STREAMS_HMAC_KEY_FILE")?;
    let previous = key("STREAMS_HMAC_KEY_PREVIOUS", "STREAMS_HMAC_KEY_PREVIOUS_FILE")?;
    match (current, previous) {
        (Some(current), None) => Ok(KeyRing::new(current)),
        (Some(current), Some(previous)) => Ok(KeyRing::new(current).with_previous(previous)),
        (None, None) if mode == Mode::Dev => Ok(KeyRing::insecure_accept_unsigned()),
        (None, _) => Err(SettingsError::new("STREAMS_HMAC_KEY", Problem::NoKey)),
    }
}

#[cfg(test)]
mod tests;
