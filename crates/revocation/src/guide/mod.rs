//! The guide: terms, deployment, failures and tuning. It contains no code items.
//!
//! | page | answers |
//! |---|---|
//! | [`concepts`] | Which terms do the crates use? |
//! | [`deployment`] | Where does each layer go in axum, hyper and tonic? What does Redis need? |
//! | [`failure_modes`] | How do services answer while Redis fails, and after a gap? |
//! | [`tuning`] | Which bound, memory limit and cut options fit my service? |
//!
//! Read `concepts` first: the other pages use its terms.
//!
//! The *contract* is `docs/wire-contract.md` in the repository: the protocol that these crates
//! follow. The documentation cites its sections, as in (contract, "Signatures").

pub mod concepts;
pub mod deployment;
pub mod failure_modes;
pub mod tuning;
