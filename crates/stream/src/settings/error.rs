//! The error of a setting.

use std::time::Duration;

use caracal_revocation_event::KeyError;
use caracal_revocation_state::BoundError;

/// The error of a setting that is missing or cannot be used.
///
/// It never contains the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct SettingsError {
    setting: &'static str,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error(
        "not set (nor REDIS_HOST, REDIS_SENTINELS or REDIS_CLUSTER_NODES): the address of Caracal's Redis, such as redis://host:6379"
    )]
    NoServer,
    #[error("not an address: redis://, rediss:// or unix:// is expected{0}")]
    NotAnAddress(&'static str),
    #[error("not a port number")]
    NotAPort,
    #[error("not text: UTF-8 is expected")]
    NotText,
    #[error("the file that it names cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    #[error("not set: only CARACAL_MODE=dev runs without a stream key")]
    NoKey,
    #[error("{0}")]
    Key(KeyError),
    #[error("one of dev, rc and stable is expected")]
    UnknownMode,
    #[error("a number of milliseconds is expected")]
    NotMilliseconds,
    #[error("at most {} milliseconds are accepted", .0.as_millis())]
    TooLong(Duration),
    #[error("true or false is expected")]
    NotAFlag,
    #[error("{0}")]
    Bound(BoundError),
    #[cfg(feature = "tls")]
    #[error("needs TLS: rediss:// in {0}, or for several servers REDIS_TLS=true")]
    NeedsTls(&'static str),
    #[error("host:port is expected, or several with commas between them")]
    NotHostAndPort,
    #[error("names the same server twice")]
    Twice,
    #[error("applies to sentinels and clusters only; for REDIS_URL, use rediss://")]
    OneServer,
    #[error("not set, but {0} is set")]
    Missing(&'static str),
    #[cfg(feature = "tls")]
    #[error("not in PEM format, or without a certificate or key")]
    NotPem,
    #[cfg(feature = "tls")]
    #[error("not the key of the certificate in REDIS_TLS_CERT_FILE")]
    NotItsKey,
    #[cfg(feature = "tls")]
    #[error("not set, and the system has no trusted CA certificates")]
    NoAuthority,
    #[error("contradicts {0}")]
    Contradiction(&'static str),
    #[error("a snapshot is sealed with STREAMS_HMAC_KEY, which is not set")]
    NothingToSealWith,
    #[error("a published mode cannot follow streams inside the process: set REDIS_URL")]
    InProcess,
}

impl SettingsError {
    pub(super) const fn new(setting: &'static str, problem: Problem) -> Self {
        Self { setting, problem }
    }

    /// Returns the name of the setting.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    pub(crate) const fn in_process() -> Self {
        Self::new("CARACAL_MODE", Problem::InProcess)
    }
}
