//! Servers, issuers, waiting and figures that tests, benches, examples and fault injection share.
//!
//! It is not published. Each module is behind a feature of its name, for the sake of its
//! dependencies.

pub mod child_guard;
pub mod ports;
pub mod terminal;

#[cfg(feature = "certificates")]
pub mod certificates;
#[cfg(feature = "figures")]
pub mod figures;
#[cfg(feature = "issuer")]
pub mod issuer;
#[cfg(feature = "streams")]
pub mod listen;
#[cfg(feature = "issuer")]
pub mod mandates;
#[cfg(feature = "opa")]
pub mod opa;
#[cfg(feature = "postgres-server")]
pub mod postgres_server;
#[cfg(feature = "redis-server")]
pub mod redis_server;
#[cfg(feature = "redis-server")]
pub mod resp;
#[cfg(feature = "services")]
pub mod services;
#[cfg(feature = "signing-key")]
pub mod signing_key;
#[cfg(feature = "streams")]
pub mod streams;
#[cfg(feature = "tokens")]
pub mod tokens;
#[cfg(feature = "waiting")]
pub mod waiting;
