//! Helpers that the other crates of this project share.
//!
//! This is not part of the public API: it can change between patch versions.

mod backoff;
mod log_limits;

pub use backoff::Backoff;
pub use log_limits::{CALM, Episode, Throttle};
