//! The configuration: flags, then the environment, then the file.

mod error;
mod file;
mod resolve;

pub(crate) use error::ConfigError;
pub(crate) use file::File;
pub(crate) use resolve::{Config, Limits, Tokens};
