//! Reads of a real PostgreSQL, as the role that the documentation describes.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]
#![allow(clippy::indexing_slicing, reason = "tests may panic")]

mod disconnect;
mod errors;
mod faults;
mod follower;
mod pooler;
mod reading;
mod server;
#[cfg(feature = "tls")]
mod tls;
