//! Servers, issuers, waiting and figures that tests, benches, examples and fault injection share.
//!
//! It is not published. Each module is behind a feature of its name, for the sake of its
//! dependencies.

#[cfg(feature = "opa")]
pub mod opa;
#[cfg(feature = "waiting")]
pub mod waiting;
