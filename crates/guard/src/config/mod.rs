//! The configuration: flags, then the environment, then the file.

mod error;
mod file;
mod limits;
mod proxy;
mod resolve;
mod values;

pub(crate) use error::ConfigError;
pub(crate) use file::File;
pub(crate) use limits::Limits;
pub(crate) use proxy::{ProxyConfig, TlsFiles};
pub(crate) use resolve::{Config, SingleUse, Tokens};
