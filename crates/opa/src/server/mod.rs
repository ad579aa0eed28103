//! An OPA server as the engine, over its REST API.

mod awaiting;
mod client;
mod engine;
mod push;

pub use client::{OpaServer, OpaServerError};
pub use engine::OpaEngine;
