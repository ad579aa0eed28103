//! The layer that wraps a service in a [`PolicyGuard`].

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_opa::ZonePolicies;
use tower_layer::Layer;

use super::build::BuildInput;
use super::guard::Guard;
use crate::PolicyGuard;

/// Guards a service behind a gateway layer: only requests that the policy of their zone allows
/// reach it.
///
/// It can deny more requests than the gateway layer, and admits no others. A request passes if:
///
/// 1. an outer gateway layer has admitted it, with the same `Revocations` as the policies. The
///    [`Admission`] in its extensions proves this;
/// 2. the claims of the admission name a zone, which is that of [`in_zone`](Self::in_zone) if one
///    is set. Other identities in the extensions are ignored;
/// 3. its path has only one reading (see below);
/// 4. its input can be built, for the same zone;
/// 5. the zone's policy is within the bounds on both its ages, and returns a complete allow, now or
///    from the cache.
///
/// A request that passes carries the [`PolicyDecision`] in its extensions. The answer to a denied
/// request carries the [`PolicyDenial`](crate::PolicyDenial).
///
/// # Paths
///
/// Policies see the decoded path, as handlers do. axum's `nest` changes none of these:
///
/// - `action.path` is the path that the client sent, with each escape decoded once;
/// - `action.segments` are its segments, without an empty last one;
/// - `action.route` is the route that axum matched, if the layer is inside a router.
///
/// The answer is 400 (`ambiguous_path`) if the path has
///
/// - an escape that is broken, is not UTF-8, or decodes to a slash, a backslash, a control
///   character or another escape;
/// - a segment `.` or `..`, escaped or not;
/// - an empty segment before the last one.
///
/// A trailing slash stays in `action.path`: compare `action.segments` if both spellings name the
/// same resource.
///
/// [`Admission`]: caracal_revocation_state::Admission
/// [`PolicyDecision`]: caracal_revocation_opa::PolicyDecision
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyLayer {
    guard: Guard,
}

impl PolicyLayer {
    /// Creates a layer that decides with these policies. `input` builds their inputs: a function,
    /// or [`ClaimsInput`](crate::ClaimsInput). Install a metrics recorder first: the layer
    /// registers its counters here.
    pub fn new(policies: ZonePolicies, input: impl BuildInput) -> Self {
        Self { guard: Guard::new(policies, Arc::new(input)) }
    }

    /// Denies requests of every other zone.
    pub fn in_zone(mut self, zone: &str) -> Self {
        self.guard.zone = Some(zone.into());
        self
    }

    /// Answers every denied HTTP/2 request as a gRPC call: status 200, with the denial in
    /// `grpc-status`. Choose it for a service that has only gRPC methods, together with
    /// [`GatewayLayer::grpc_only`](crate::GatewayLayer::grpc_only).
    ///
    /// By default only an HTTP/2 `POST` with `te: trailers` and a gRPC content type is answered in
    /// this way.
    pub fn grpc_only(mut self) -> Self {
        self.guard.grpc_only = true;
        self
    }

    /// Caches up to `capacity` decisions, each for `time_to_live`. A decision takes a few hundred
    /// bytes, independent of the length of the request. One with large diagnostics counts once for
    /// each 4 KiB.
    ///
    /// The cache key holds the zone, the version and digest of its policy, the zone's generation
    /// and the whole input. An invalidation therefore drops a decision at once, and another claim
    /// or path is another decision. The cache holds only decisions that depend on nothing else:
    /// those of embedded Rego without built-ins that were allowed by name.
    pub fn with_decision_cache(mut self, capacity: u64, time_to_live: Duration) -> Self {
        self.guard.policies = self.guard.policies.with_decision_cache(capacity, time_to_live);
        self
    }
}

impl<S> Layer<S> for PolicyLayer {
    type Service = PolicyGuard<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PolicyGuard { inner, guard: Arc::new(self.guard.clone()) }
    }
}
