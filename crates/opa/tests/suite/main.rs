//! Tests of policies through the public interface: zones over time, and OPA servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod differential;
mod interleavings;
mod metrics;
mod recorded;
mod server;
mod zones;
