//! The policy layer: a request that the gateway admitted is put before its zone's policy.

mod build;
mod future;
mod guard;
mod layer;
mod path;
mod rejection;
mod service;

pub use build::{BuildInput, ClaimsInput, RequestFacts};
pub use future::PolicyFuture;
pub use layer::PolicyLayer;
pub use rejection::{PolicyDenial, PolicyDenialKind};
pub use service::PolicyGuard;
