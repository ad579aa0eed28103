//! Policies per zone: loaded when they are invalidated, of a known age, evaluated per request.
//!
//! TODO
mod bundle;
mod decision;
#[cfg(feature = "embedded")]
mod embedded;
mod engine;
mod input;
mod layer;
mod ledger;
mod metrics;
mod options;
mod policies;
#[cfg(feature = "server")]
mod server;
mod source;
mod standing;
mod zone;

pub use bundle::PolicyBundle;
pub use decision::{Effect, PolicyDecision};
#[cfg(feature = "embedded")]
pub use embedded::RegoEngine;
pub use engine::{
    BoxFuture, Evaluation, EvaluationError, PolicyEngine, PrepareError, PreparedPolicy,
};
pub use input::{InvalidInput, PolicyInput, Principal, Resource};
pub use layer::{
    BuildInput, ClaimsInput, PolicyBody, PolicyFuture, PolicyGuard, PolicyLayer, PolicyRejection,
    PolicyRejectionKind, RequestFacts,
};
pub use options::{BrokenBundle, PolicyOptions};
pub use policies::{NoDecision, ZonePolicies};
#[cfg(feature = "server")]
pub use server::{OpaEngine, OpaServer, OpaServerError};
pub use source::{PolicyRequest, PolicySource, SourceError};
pub use standing::{Trouble, Unusable, ZoneStatus};
