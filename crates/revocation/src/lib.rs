#![cfg_attr(docsrs, feature(doc_cfg))]

//! Tower layers that deny revoked Caracal mandates within milliseconds of the revocation.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use caracal_revocation::{Follower, GatewayLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let revocations = Follower::from_env()?.spawn(); // REDIS_URL, STREAMS_HMAC_KEY
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(GatewayLayer::new(revocations)); // inside your layer that verifies tokens
//! # Ok(())
//! # }
//! ```
//!
//! New here? Read the [`guide`]: terms, deployment, failures and tuning.
//!
//! # Purpose
//!
//! When an operator revokes a session, rotates a key, changes a policy or ends a delegation,
//! Caracal writes a signed message to Redis Streams. A [`Follower`] reads those streams into a
//! [`Revocations`]: a local state that answers each request in nanoseconds, without I/O.
//! [`GatewayLayer`] denies requests on revoked tokens.
//!
//! # Promise
//!
//! No request is admitted on a token whose revocation was published longer ago than the staleness
//! bound: 60 seconds by default. Usually a revocation takes effect within a millisecond. If the
//! service cannot prove its view complete, because Redis is unavailable or messages are missing, it
//! answers 503. There are two exceptions: messages that the Redis server acknowledged and then lost
//! itself, and messages that no accepted key has signed.
//!
//! # Who verifies the tokens
//!
//! A resource server puts a [`ResourceLayer`] with a [`Verifier`] in front of its routes. That
//! layer also checks the scopes and delegations that a route requires. A gateway gives a
//! [`Verifier`] to its [`GatewayLayer`]. An STS puts an [`StsLayer`] in front of its token
//! endpoint.
//!
//! If a gateway's own authentication layer verifies tokens, that layer puts [`Claims`] into the
//! request's extensions:
//!
//! ```
//! use caracal_revocation::Claims;
//! # fn verified_payload() -> &'static str {
//! #     r#"{"sid":"ar-1","zone_id":"z-1","iat":1795400000,"exp":1795403600}"#
//! # }
//! let claims: Claims = serde_json::from_str(verified_payload())?;
//! let mut request = http::Request::new(());
//! request.extensions_mut().insert(claims);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Claims need `iat` and `exp`, as every mandate has them. Each decision denies a token that has
//! expired, lives longer than [`LONGEST_LIFETIME`](state::LONGEST_LIFETIME), or was issued in the
//! future, with a leeway of [`LEEWAY`](state::LEEWAY). So no token outlives the record of its
//! revocation. An [`StsLayer`] leaves these checks to the STS, which makes them on the same token.
//!
//! # In tests, and without Redis
//!
//! [`InProcess`] replaces Redis inside one process. Its messages are signed like Caracal's. A
//! [`Publisher`] writes to Redis or to an [`InProcess`].
//!
//! # Modules
//!
//! The names that most services need are at the root. Every name is in a module by topic:
//!
//! | module | topic |
//! |---|---|
//! | [`gateway`], [`resource`], [`sts`] | the layers that deny requests, and cut running ones |
//! | `policy` (feature `opa`) | policies per zone |
//! | [`mandate`] | verification of tokens |
//! | [`stream`], [`baseline`] | the follower and the publisher; a second source of truth |
//! | [`state`] | claims, verdicts, readiness |
//! | [`wire`] | messages, keys, streams |
//! | [`effects`] | handlers that run once per message in a fleet |
//! | [`metrics`], [`admin`] | health and metrics; provisioning and inspection of the streams |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `aws_lc_rs` | yes | jsonwebtoken's AWS-LC backend for a [`Verifier`]; without it, pass a backend to [`VerifierBuilder::with_crypto`](mandate::VerifierBuilder::with_crypto) |
//! | `axum` | no | [`Mandate`] and `Option<Mandate>` as extractors |
//! | `prometheus` | no | `metrics::Exporter`, for a service without a metrics exporter |
//! | `status-page` | no | `Operations::with_page`: the status as a page for people |
//! | `tls` | yes | `rediss://` and keys over HTTPS, with the operating system's certificates |
//! | `postgres` | no | `baseline::Postgres`: Caracal's own tables as a baseline, for [`Follower::with_baseline`] |
//! | `ws` | no | `gateway::GuardedWebSocket` for axum: it closes once its authority has ended |
//! | `opa` | no | the module `policy`: policies per zone, evaluated in the process or by an OPA server (needs Rust 1.95) |

pub mod admin;
pub mod baseline;
pub mod effects;
pub mod gateway;
pub mod guide;
#[doc(hidden)]
pub mod internal;
pub mod mandate;
pub mod metrics;
#[cfg(feature = "opa")]
pub mod policy;
pub mod resource;
pub mod state;
pub mod stream;
pub mod sts;
pub mod wire;

pub use gateway::{Admission, GatewayLayer};
pub use mandate::{Mandate, Verifier};
pub use metrics::Operations;
pub use resource::ResourceLayer;
pub use state::{Authority, Claims, Revocations};
pub use stream::{Follower, InProcess, Publisher, Settings};
pub use sts::StsLayer;

// Compiles the example of the package's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
