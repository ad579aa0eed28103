//! The policy layer: asks the zone's policy about each request that a gateway layer admitted.

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
