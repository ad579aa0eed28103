//! The tests that need more than one crate: real Redis servers, real axum and hyper.

mod delivery;

mod effects;

mod live;

mod manifest;

mod redis_server;

mod vectors;
