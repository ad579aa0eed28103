//! Policies per zone: loaded when they are invalidated, of a known age, evaluated per request.
//!
//! [`ZonePolicies`] loads each zone's policy from a [`PolicySource`] of yours, hears of
//! `caracal.policy.invalidate` through the [`Revocations`] that a follower feeds, and asks a
//! [`PolicyEngine`] for decisions: Rego in this process, or an OPA server. The policy layer of
//! `caracal-revocation-layer` puts requests before them, behind a gateway layer.
//!
//! ```
//! use caracal_revocation_opa::{
//!     Effect, PolicyBundle, PolicyInput, PolicyRequest, PolicySource, Principal, RegoEngine,
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
//! assert_eq!((decision.effect, &*decision.version), (Effect::Allow, "v-1"));
//! // Undefined is an error, and so denied.
//! assert!(policies.decide(PolicyInput::new(&principal, &resource, "write")?).await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! In reading order: [`PolicyBundle`] is what a [`PolicySource`] returns; [`PolicyOptions`] says
//! how it is loaded and how old it may be; [`ZonePolicies`] keeps it current; [`ZoneStatus`] tells
//! how it stands; [`RegoEngine`] and [`OpaEngine`] evaluate a [`PolicyInput`].
//!
//! # When a policy is loaded
//!
//! On the zone's first request, on every invalidation, on a safety poll, and on
//! [`ZonePolicies::refresh`]; never twice at a time for a zone. An invalidation is in force once a
//! load that began after it was heard has brought the version that it names (or one that
//! [covers](PolicyBundle::covering) it). Until then the load is tried again, with pauses that
//! grow. An error, a wrong digest and a bundle that does not compile change nothing of that. A
//! version that a message has replaced does not come back without another message.
//!
//! A source that goes back to a version that nobody heard of here, without a message, cannot be
//! told from one that goes forward: read it where the newest version can be seen.
//!
//! # Ages
//!
//! Each zone has two ages. The *policy age* is since the load began that last confirmed its policy
//! current: it stays small for a policy that nobody edits. The *invalidation age* is since the
//! oldest invalidation was published that is not in force; zero when there is none. Requests are
//! denied beyond a bound on either. Handlers read them from [`ZonePolicies::status`].
//!
//! # Metrics
//!
//! Told through the [`metrics`](::metrics) facade; install the recorder first. The gauges of ages
//! are told anew each second.
//!
//! | metric | kind | meaning |
//! |---|---|---|
//! | `caracal_sts_opa_max_policy_age_seconds` | gauge | the maximum over zones of the policy age |
//! | `caracal_sts_opa_max_invalidation_age_seconds` | gauge | the maximum over zones of the invalidation age |
//! | `caracal_sts_opa_policy_age_seconds{zone}` | gauge | the policy age |
//! | `caracal_sts_opa_invalidation_age_seconds{zone}` | gauge | the invalidation age |
//! | `caracal_sts_opa_poll_interval_seconds` | gauge | between safety polls |
//! | `caracal_sts_opa_zones` | gauge | zones in use |
//! | `caracal_sts_opa_load_total`, `caracal_sts_opa_load_seconds` | counter, histogram | answers asked of the source |
//! | `caracal_sts_opa_load_errors_total{reason}` | counter | attempts that failed, by [`Trouble::label`] |
//! | `caracal_sts_opa_compile_total`, `…_compile_errors_total`, `…_compile_seconds` | counters, histogram | bundles compiled or pushed |
//! | `caracal_sts_opa_eval_total`, `…_eval_errors_total`, `…_eval_seconds` | counters, histogram | evaluations; cached decisions are none |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `embedded` | yes | [`RegoEngine`] |
//! | `server` | yes | [`OpaEngine`] |
//! | `time` | no | the built-ins `time.*`; `time.now_ns` stays refused unless allowed by name |
//! | `pattern-cache` | no | compiled patterns are remembered, behind one lock |
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
pub use decision::{Effect, NoDecision, PolicyDecision};
#[cfg(feature = "embedded")]
pub use embedded::RegoEngine;
pub use engine::{
    BoxFuture, Evaluation, EvaluationError, PolicyEngine, PrepareError, PreparedPolicy,
};
pub use input::{InvalidInput, PolicyInput, Principal, Resource};
pub use options::{BrokenBundle, PolicyOptions};
#[doc(hidden)]
pub use policies::Deciding;
pub use policies::ZonePolicies;
pub use policy_state::{Trouble, Unusable, ZoneStatus};
#[cfg(feature = "server")]
pub use server::{OpaEngine, OpaServer, OpaServerError};
pub use source::{PolicyRequest, PolicySource, SourceError};
