//! The tests that need more than one crate: real Redis servers, real axum and hyper.

mod delivery;

mod live;

mod policies;

mod redis_server;

mod vectors;
