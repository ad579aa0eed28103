#![cfg_attr(docsrs, feature(doc_cfg))]

//! Policies per zone. Loads them when they are invalidated, tracks their age, and evaluates them
//! for each request.
//!
//! [`ZonePolicies`] loads each zone's policy from your [`PolicySource`]. A follower reads
//! `caracal.policy.invalidate` into [`Revocations`], which notifies [`ZonePolicies`]. A
//! [`PolicyEngine`] evaluates the policies: Rego in this process, or an OPA server. The policy
//! layer of `caracal-revocation-layer` decides requests with them, behind a gateway layer.
//!
//! ```
//! use caracal_revocation_opa::{
//!     PolicyEffect, PolicyBundle, PolicyInput, PolicyRequest, PolicySource, Principal, RegoEngine,
//!     Resource, SourceError, ZonePolicies,
//! };
//! use caracal_revocation_state::{Options, RevocationsWriter};
//!
//! const POLICY: &str = r#"package caracal.authz
//! import rego.v1
//! result := {"decision": "allow", "evaluation_status": "complete",
//!     "determining_policies": [], "diagnostics": []} if input.action.id == "read"
//! "#;
//!
//! struct Fixed;
//!
//! impl PolicySource for Fixed {
//!     async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
//!         let bundle = PolicyBundle::new("v-1").with_module("authz.rego", POLICY);
//!         let digest = bundle.compute_digest();
//!         Ok(Some(bundle.with_digest(digest)))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let revocations = RevocationsWriter::new(Options::default()).reader(); // a follower's, in a service
//! let policies = ZonePolicies::new(revocations, Fixed, RegoEngine::new());
//! let principal = Principal::new("application", "app-1", "z-1");
//! let resource = Resource::new("api", "r-1", "https://api.example");
//!
//! let decision = policies.decide(PolicyInput::new(&principal, &resource, "read")?).await?;
//! assert_eq!((decision.effect, &*decision.version), (PolicyEffect::Allow, "v-1"));
//! // An undefined result is an error, so the request is denied.
//! assert!(policies.decide(PolicyInput::new(&principal, &resource, "write")?).await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! In reading order: a [`PolicySource`] returns a [`PolicyBundle`]; [`PolicyOptions`] sets how it
//! is loaded and how old it may be; [`ZonePolicies`] keeps it current; [`ZoneStatus`] reports its
//! state; [`RegoEngine`] and [`OpaEngine`] evaluate a [`PolicyInput`].
//!
//! # When a policy is loaded
//!
//! A zone's policy is loaded on its first request, on every invalidation, on a safety poll, and on
//! [`ZonePolicies::refresh`]. At most one load runs at a time. An invalidation is *in force* once
//! a load that began after the message has brought the version that it names (or one that
//! [covers](PolicyBundle::covering) it). Until then the load is retried, with growing pauses. An
//! error, a wrong digest and a bundle that does not compile do not end the retries. A version that
//! a message has replaced does not come back without another message.
//!
//! If a source returns an older version that this process has never seen, it looks like a newer
//! one. So read the policy from a place that has the newest version.
//!
//! # Ages
//!
//! Each zone has two ages. The *policy age* is the time since the start of the last load that
//! confirmed the policy as current. Safety polls keep it small, also for a policy that does not
//! change. The *invalidation age* is the time since the publication of the oldest invalidation that
//! is not in force; it is zero if every invalidation is in force. Requests are denied beyond a
//! bound on either age. Handlers read them from [`ZonePolicies::status`].
//!
//! # Metrics
//!
//! Recorded through the [`metrics`](::metrics) facade; install the recorder first. The gauges of
//! ages are updated every second.
//!
//! | metric | kind | meaning |
//! |---|---|---|
//! | `caracal_sts_opa_max_policy_age_seconds` | gauge | the maximum over zones of the policy age |
//! | `caracal_sts_opa_max_invalidation_age_seconds` | gauge | the maximum over zones of the invalidation age |
//! | `caracal_sts_opa_policy_age_seconds{zone}` | gauge | the policy age |
//! | `caracal_sts_opa_invalidation_age_seconds{zone}` | gauge | the invalidation age |
//! | `caracal_sts_opa_poll_interval_seconds` | gauge | the time between safety polls |
//! | `caracal_sts_opa_zones` | gauge | zones in use |
//! | `caracal_sts_opa_load_total`, `caracal_sts_opa_load_seconds` | counter, histogram | loads from the source |
//! | `caracal_sts_opa_load_errors_total{reason}` | counter | attempts that failed, by [`LoadFailure::label`] |
//! | `caracal_sts_opa_compile_total`, `…_compile_errors_total`, `…_compile_seconds` | counters, histogram | bundles compiled or pushed |
//! | `caracal_sts_opa_eval_total`, `…_eval_errors_total`, `…_eval_seconds` | counters, histogram | evaluations; cached decisions do not count |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `embedded` | yes | [`RegoEngine`] |
//! | `server` | yes | [`OpaEngine`] |
//! | `time` | no | the built-ins `time.*`; `time.now_ns` stays rejected unless allowed by name |
//! | `pattern-cache` | no | a cache of compiled patterns, behind one lock |
//!
//! [`Revocations`]: caracal_revocation_state::Revocations

mod bundle;
mod cache;
mod decision;
#[cfg(feature = "embedded")]
mod embedded;
mod engine;
mod input;
mod ledger;
mod limits;
mod loader;
mod metrics;
mod options;
mod policies;
mod policy_state;
#[cfg(feature = "server")]
mod server;
mod source;
mod zone;
mod zones;

pub use bundle::PolicyBundle;
pub use decision::{DecisionError, PolicyDecision, PolicyEffect};
#[cfg(feature = "embedded")]
pub use embedded::RegoEngine;
pub use engine::{
    BoxFuture, Evaluation, EvaluationError, PolicyEngine, PrepareError, PreparedPolicy,
};
pub use input::{InvalidInput, PolicyInput, Principal, Resource};
pub use options::{InvalidBundle, PolicyOptions};
#[doc(hidden)]
pub use policies::Deciding;
pub use policies::ZonePolicies;
pub use policy_state::{LoadFailure, PolicyUnavailable, ZoneStatus};
#[cfg(feature = "server")]
pub use server::{OpaEngine, OpaServer, OpaServerError};
pub use source::{PolicyRequest, PolicySource, SourceError};
