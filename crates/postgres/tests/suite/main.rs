//! Reads of a real PostgreSQL, as the role that the documentation describes.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]
#![allow(clippy::indexing_slicing, reason = "tests may panic")]

use caracal_test_support::postgres_server as server;

mod disconnect;
mod errors;
mod follower;
mod pooler;
mod reading;
mod selecting;
#[cfg(feature = "tls")]
mod tls;
