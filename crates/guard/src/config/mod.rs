//! The configuration: flags, then the environment, then the file.

mod database;
mod error;
mod file;
mod limits;
mod operations;
mod policy;
mod proxy;
mod resolve;
mod values;

pub(crate) use database::Database;
pub(crate) use error::ConfigError;
pub(crate) use file::File;
pub(crate) use limits::Limits;
pub(crate) use operations::OperationsConfig;
#[cfg(feature = "opa")]
pub(crate) use policy::PolicyConfig;
pub(crate) use proxy::{ProxyConfig, TlsFiles};
#[cfg(feature = "opa")]
pub(crate) use resolve::VerifierConfig;
pub(crate) use resolve::{Config, SingleUse, Tokens};

#[cfg(test)]
mod tests;
