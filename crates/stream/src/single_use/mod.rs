//! The record of used mandates, in Redis (contract, "Single use").

mod used_mandates;
mod writer;

pub use used_mandates::UsedMandates;
