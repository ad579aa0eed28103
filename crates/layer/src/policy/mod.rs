//! The policy layer: asks the zone's policy about each request that a gateway layer admitted.

mod build;
mod denial;
mod future;
mod guard;
mod layer;
mod service;

pub use build::{BuildInput, ClaimsInput, RequestFacts};
pub use denial::{PolicyDenial, PolicyDenialKind};
pub use future::PolicyFuture;
pub use layer::PolicyLayer;
pub use service::PolicyGuard;
