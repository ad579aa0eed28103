#![cfg_attr(docsrs, feature(doc_cfg))]

//! Verifies Caracal mandates: ES256 tokens, with the keys of one zone.
//!
//! A [`Verifier`] is configured for one issuer, zone and audience. It fetches the zone's keys,
//! verifies a token's signature and claims, and caches the result. A repeated token costs one
//! digest and one lookup. The result is a [`Mandate`], which only a verifier can construct.
//!
//! ```
//! use caracal_revocation_mandate::{ConfigError, Verifier};
//! use caracal_revocation_state::{Options, RevocationsWriter};
//!
//! let revocations = RevocationsWriter::new(Options::default()).reader();
//! // Plain http is accepted only from this machine, unless `insecure_accept_http_keys` is called.
//! let error = Verifier::builder("http://sts.example", "z-1", "https://api.example")
//!     .build(&revocations)
//!     .unwrap_err();
//! assert_eq!(error, ConfigError::InsecureKeys);
//! ```
//!
//! A token is valid if
//!
//! 1. it has three segments of base64url without padding, and its header names `ES256`, a `kid`
//!    and no critical extension;
//! 2. every claim that the contract requires is present and of its type, and no claim is repeated;
//! 3. its issuer, audience and use are those of the verifier, its lifetime is at most
//!    [`LONGEST_LIFETIME`], and the time is between `iat` (and `nbf`) and `exp`, within the leeway;
//! 4. its signature verifies with the key that the zone publishes under this `kid`;
//! 5. its zone is the zone of the verifier.
//!
//! The verifier does not check for revocation: [`Revocations::decide`] does, on each request.
//!
//! # Keys
//!
//! The verifier fetches the zone's keys when the first token needs them, or in
//! [`Verifier::warm_up`]. Only one fetch runs at a time; other requests wait for it. The verifier
//! fetches the keys again when they are five minutes old, and immediately after a
//! `keys.invalidate`. That message also drops every cached mandate. While the STS is unavailable,
//! keys that were not invalidated stay in use for a grace period of ten more minutes. A request
//! that can use such a key waits at most one second for newer ones, and does not wait once an
//! attempt has failed.
//!
//! # Unknown keys
//!
//! A token with an unknown `kid` forces a fetch: a search. The contract allows one search in 30
//! seconds for all tokens together. A failed attempt counts. A token whose claims do not fit this
//! verifier causes no search. A client can forge a `kid`, and its search could delay the search
//! for a real new key. Three rules limit this:
//!
//! 1. A rotation that the STS announces by `keys.invalidate` needs no search.
//! 2. A token of a known authority record may cause a search every 30 seconds. A record is known
//!    if this verifier has verified a mandate with its `root_sid`. The verifier forgets the record
//!    when a search for one of its tokens finds no key, until its next valid mandate.
//! 3. For all other tokens, the pause doubles after each search that finds nothing, up to the five
//!    minutes after which keys are fetched anyway. Forged tokens can then occupy a tenth of the
//!    time.
//!
//! One case remains: an unannounced rotation within 30 seconds after a search is found by the next
//! search. Until then, tokens of known records get [`KeysUnavailable`], not
//! [`InvalidMandate::UnknownKey`].
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `aws_lc_rs` | no | jsonwebtoken's AWS-LC backend, as the default of a verifier |
//! | `tls` | no | keys over HTTPS, with the operating system's certificates |
//! | `axum` | no | [`Mandate`] as an extractor |
//!
//! Without `aws_lc_rs`, pass a backend to [`VerifierBuilder::with_crypto`]. There is no other
//! default.
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
