//! The layer: a request that the gateway admitted is put before its zone's policy.

mod answer;
mod body;
mod build;
mod cache;
mod future;
mod guard;
mod path;
mod rejection;
mod service;
mod tower;

pub use body::PolicyBody;
pub use build::{BuildInput, ClaimsInput, RequestFacts};
pub use future::PolicyFuture;
pub use rejection::{PolicyRejection, PolicyRejectionKind};
pub use service::PolicyGuard;
pub use tower::PolicyLayer;
