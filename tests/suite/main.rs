//! Tests that need more than one crate: real Redis servers, real axum and hyper.

use caracal_test_support::{
    certificates, issuer, mandates, postgres_server, proxy, redis_server, vectors,
};

mod baseline;
mod canary;
mod cluster;
mod cluster_fleet;
mod compatibility;
mod cut;
mod dead_letters;
mod delivery;
mod drill_probe;
mod errors;
mod examples;
mod exercises;
mod flood;
mod gaps;
mod gateway;
mod identity;
mod idle;
mod import_cycles;

mod effects;

mod live;
mod logged;
mod outages;

mod manifest;

mod metrics;
mod operated;
mod ops;

mod policies;
mod policy_paths;

mod provisioned;
mod python_sdk;
mod replicas;
mod resource;
mod resp3;
mod rights;
mod security;
mod sentinel;
mod sentinel_fleet;
mod service;
mod settings;
mod single_use;
mod sizes;
mod snapshot;
mod strict;
mod sts;

mod tls;
