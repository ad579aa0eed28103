//! Decides requests by the Rego policy of each zone, in this process or on an OPA server.
//!
//! ```
//! use caracal_revocation::policy::{
//!     PolicyEffect, PolicyBundle, PolicyInput, PolicyRequest, PolicySource, Principal, RegoEngine,
//!     Resource, SourceError, ZonePolicies,
//! };
//! # use caracal_revocation::{Follower, InProcess};
//! # use caracal_revocation::wire::{Key, KeyRing};
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
//! # let follower = Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate()?))?;
//! let revocations = follower.spawn(); // Follower::from_env() in a service
//! let policies = ZonePolicies::new(revocations, Fixed, RegoEngine::new());
//! let principal = Principal::new("application", "app-1", "zone-1");
//! let resource = Resource::new("api", "reports", "https://reports.example");
//!
//! let decision = policies.decide(PolicyInput::new(&principal, &resource, "read")?).await?;
//! assert_eq!((decision.effect, &*decision.version), (PolicyEffect::Allow, "v-1"));
//! // An undefined result is an error: the request is denied.
//! assert!(policies.decide(PolicyInput::new(&principal, &resource, "write")?).await.is_err());
//! # Ok(())
//! # }
//! ```

pub use caracal_revocation_layer::{
    BuildInput, ClaimsInput, PolicyDenial, PolicyDenialKind, PolicyFuture, PolicyGuard,
    PolicyLayer, RequestFacts,
};
pub use caracal_revocation_opa::{
    BoxFuture, DecisionError, Evaluation, EvaluationError, InvalidBundle, InvalidInput,
    LoadFailure, OpaEngine, OpaServer, OpaServerError, PolicyBundle, PolicyDecision, PolicyEffect,
    PolicyEngine, PolicyInput, PolicyOptions, PolicyRequest, PolicySource, PolicyUnavailable,
    PrepareError, PreparedPolicy, Principal, RegoEngine, Resource, SourceError, ZonePolicies,
    ZoneStatus,
};
