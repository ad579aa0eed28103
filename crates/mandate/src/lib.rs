//! Verifies Caracal mandates: ES256 with the keys of one zone, and no more often than needed.
//!
//! A [`Verifier`] is made for one issuer, zone and audience. It fetches the zone's keys, checks
//! a token's signature and claims, and remembers what it verified: a repeat of the same token
//! costs a digest and a lookup. What it hands out is a [`Mandate`], which nothing else can make.
//!
//! ```
//! use caracal_revocation_mandate::{ConfigError, Verifier};
//! use caracal_revocation_state::{Options, RevocationsWriter};
//!
//! let revocations = RevocationsWriter::new(Options::default()).reader();
//! // Keys over plain http are for this machine only, unless `insecure_accept_http_keys` is called.
//! let error = Verifier::builder("http://sts.example", "z-1", "https://api.example")
//!     .build(&revocations)
//!     .unwrap_err();
//! assert_eq!(error, ConfigError::InsecureKeys);
//! ```
//!
//! A token is good if
//!
//! 1. it is three segments of base64url without padding, its header names `ES256` and a `kid`,
//!    and no critical extension;
//! 2. no claim stands twice, and every claim that the contract requires is there and of its type;
//! 3. issuer, audience and use are those that the verifier was made for, it lives no longer than
//!    [`LONGEST_LIFETIME`], and the time is between `iat` (and `nbf`) and `exp`, give or take the
//!    leeway;
//! 4. the key that the zone publishes under that `kid` made the signature;
//! 5. its zone is the verifier's.
//!
//! Whether it was revoked is another question, which [`Revocations::decide`] answers each time.
//!
//! # Keys
//!
//! They are fetched when first needed, or by [`Verifier::warm_up`]; by one request at a time,
//! whoever else waits for it; again when they are five minutes old, and at once after a
//! `keys.invalidate`, which also ends everything that was verified with them. While the STS is
//! away, keys that were not invalidated are used for a grace of another ten minutes. A request
//! that such a key decides waits for newer ones for one second at most, and not at all once an
//! attempt has failed.
//!
//! An unknown `kid` forces a fetch, and all of them together one in 30 seconds: the contract's
//! limit, which a failed attempt uses up too. Before it, the token's claims must fit this verifier.
//! Anybody can write such a token, and so could keep that one fetch from a real rotation. Three
//! rules are against it:
//!
//! 1. A rotation that is announced by `keys.invalidate`, as the STS does, needs no such fetch.
//! 2. A token whose `root_sid` names an authority record of which a good mandate was verified here
//!    may force one every 30 seconds. A key that does not turn up ends that, until a next good
//!    mandate.
//! 3. Everybody else may too, but waits twice as long after each of these searches that found
//!    nothing, up to the five minutes after which keys are fetched anyway. What forgers can use up
//!    by then is a tenth of the time.
//!
//! More is not to be had: with one fetch in 30 seconds, and nothing to tell a forged name from a
//! new one, an unannounced rotation right after somebody's search waits for the next. Tokens of
//! known records are answered as in an outage meanwhile, not as forged.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `aws_lc_rs` | no | jsonwebtoken's AWS-LC backend, which a verifier then uses |
//! | `tls` | no | keys over HTTPS, with the operating system's certificates |
//! | `axum` | no | [`Mandate`] as an extractor |
//!
//! No backend is enabled behind your back: without `aws_lc_rs`, say which one to use with
//! [`VerifierBuilder::with_crypto`].
//!
//! [`LONGEST_LIFETIME`]: caracal_revocation_state::LONGEST_LIFETIME
//! [`Revocations::decide`]: caracal_revocation_state::Revocations::decide

mod builder;
mod claims;
mod errors;
#[cfg(feature = "axum")]
mod extract;
mod fetch;
mod fetch_state;
mod jwks;
mod keys;
mod limits;
mod mandate;
mod mandate_cache;
mod requirements;
#[cfg(test)]
mod tests;
mod token;
mod verifier;

pub use builder::VerifierBuilder;
pub use errors::{ConfigError, InvalidMandate, KeysUnavailable, VerifyError};
#[cfg(feature = "axum")]
pub use extract::MissingMandate;
pub use mandate::{Anonymous, Mandate, SubjectType, Use};
pub use requirements::{Requirements, UnmetRequirement};
pub use verifier::Verifier;
