//! The program as a user runs it: exit codes, text and JSON, on real Redis servers in every broken
//! state.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, their helpers too"
)]

use caracal_test_support::{certificates, postgres_server, proxy, redis_server};

mod program;
mod replica_process;
mod tmux;

mod cluster;
mod dead_letters;
mod doctor;
mod drill;
mod explaining;
mod fleet;
mod fleet_live;
mod healthy;
mod large;
mod messages;
mod provisioning;
mod publishing;
mod resuming;
mod retaining;
mod revoking_files;
mod revoking_selections;
mod rights;
mod settings;
mod terminal;
mod tls;
mod unavailable;
mod version;
mod watching;
