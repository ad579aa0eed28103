//! Servers, issuers, waiting and figures, shared by tests, benches, examples and fault injection.
//!
//! The crate is not published. Most modules are behind a feature of the same name, which limits the
//! dependencies of each user.

pub mod child_guard;
pub mod foreign;
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
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "redis-server")]
pub mod redis_server;
#[cfg(feature = "redis-server")]
pub mod resp;
#[cfg(feature = "redis-server")]
pub mod sentinel;
#[cfg(feature = "services")]
pub mod services;
#[cfg(feature = "signing-key")]
pub mod signing_key;
#[cfg(feature = "streams")]
pub mod streams;
#[cfg(feature = "tokens")]
pub mod tokens;
#[cfg(feature = "vectors")]
pub mod vectors;
#[cfg(feature = "waiting")]
pub mod waiting;
