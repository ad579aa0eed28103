//! Policies from the outside, in one program: zones over time, OPA servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod differential;
mod interleavings;
mod metrics;
mod recorded;
mod server;
mod zones;
