//! An OPA server as the engine, over its REST API.

mod client;
mod engine;
mod push;
mod revision;

pub use client::{OpaServer, OpaServerError};
pub use engine::OpaEngine;
