//! The error about a setting.

use super::parameters;

/// A setting that is missing or unusable.
///
/// It never holds the value, which may contain a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresError {
    setting: &'static str,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Unset,
    NotText,
    Unreadable(std::io::ErrorKind),
    NotAnAddress,
    /// A parameter of this name is not accepted.
    Unknown(Box<str>),
    Repeated(Box<str>),
    /// The value of this parameter is not the accepted one.
    Value(Box<str>, &'static str),
    /// The file that `sslrootcert` names cannot be read.
    UnreadableRoot(std::io::ErrorKind),
    /// An authority is named, but `sslmode` allows a connection without TLS.
    NeedsTls,
    #[cfg_attr(feature = "tls", allow(dead_code, reason = "constructed only without TLS"))]
    NoTls,
    #[cfg(feature = "tls")]
    NotPem,
    #[cfg(feature = "tls")]
    Tls,
}

impl PostgresError {
    pub(crate) const fn new(setting: &'static str, problem: Problem) -> Self {
        Self { setting, problem }
    }

    /// Returns the name of the setting at fault.
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
            Problem::NotText => f.write_str("not text: UTF-8 is expected"),
            Problem::Unreadable(kind) => write!(f, "the file that it names cannot be read: {kind}"),
            Problem::NotAnAddress => f.write_str(
                "not an address: postgres://user:password@host/database is expected, with \
                 special characters of user and password percent-encoded",
            ),
            Problem::Unknown(name) => {
                write!(f, "the parameter {name} is not supported; accepted are ")?;
                let all: Vec<_> = parameters::accepted().collect();
                f.write_str(&all.join(", "))
            }
            Problem::Repeated(name) => write!(f, "the parameter {name} is given twice"),
            Problem::Value(name, accepted) => {
                write!(f, "the value of the parameter {name} is not {accepted}")
            }
            Problem::UnreadableRoot(kind) => {
                write!(f, "the file that sslrootcert names cannot be read: {kind}")
            }
            Problem::NeedsTls => f.write_str(
                "an authority is named, but the sslmode of the address allows a connection \
                 without TLS: use verify-full",
            ),
            #[cfg(feature = "tls")]
            Problem::NotPem => {
                f.write_str("the file of authorities holds no certificate in PEM, or a broken one")
            }
            #[cfg(feature = "tls")]
            Problem::Tls => f.write_str("TLS cannot be set up on this machine"),
            Problem::NoTls => {
                f.write_str("TLS is required, but needs the feature `tls` of this crate")
            }
        }
    }
}

impl std::error::Error for PostgresError {}
