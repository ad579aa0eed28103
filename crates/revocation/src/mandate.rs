//! Verifies mandates: ES256, the keys of each zone, and a cache of verified mandates.
//!
//! ```
//! use caracal_revocation::mandate::ConfigError;
//! use caracal_revocation::{Follower, InProcess, Verifier};
//! # use caracal_revocation::wire::{Key, KeyRing};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let follower = Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate()?))?;
//! let revocations = follower.spawn(); // Follower::from_env() in a service
//! let verifier = |audience| {
//!     Verifier::builder("https://sts.example", "zone-1", audience).build(&revocations)
//! };
//! assert!(verifier("https://orders.example").is_ok());
//! assert_eq!(verifier("").err(), Some(ConfigError::Empty));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "axum")]
pub use caracal_revocation_mandate::MissingMandate;
pub use caracal_revocation_mandate::{
    ConfigError, InvalidMandate, KeysUnavailable, Mandate, SubjectType, Use, Verifier,
    VerifierBuilder, VerifyError,
};
