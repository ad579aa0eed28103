//! The layer that wraps a service in a [`PolicyGuard`].

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_opa::ZonePolicies;
use tower_layer::Layer;

use super::build::BuildInput;
use super::guard::Guard;
use crate::PolicyGuard;

/// Guards a service that stands behind a gateway layer: only requests that their zone's policy
/// allows reach it.
///
/// It only narrows. Requests pass if
///
/// 1. the gateway layer outside has admitted them, which their extensions prove ([`Admission`]), on
///    the same `Revocations` as the policies have;
/// 2. the claims in this proof name a zone (and that of [`in_zone`](Self::in_zone), where one is
///    set); no other identity in the extensions counts;
/// 3. their path can be read in one way only (see below);
/// 4. their input can be built, for the same zone;
/// 5. the zone's policy is within the bounds on both its ages, and its evaluation is a complete
///    allow, now or remembered.
///
/// A request that passes carries the [`PolicyDecision`] in its extensions;
/// the answer to any other carries the [`PolicyDenial`](crate::PolicyDenial).
///
/// # Paths
///
/// Policies see the path as handlers do: decoded. `action.path` is the path that the client sent,
/// each escape decoded once; `action.segments` are its segments, without an empty last one;
/// `action.route` is the route that axum matched, where the layer stands inside a router. A `nest`
/// changes none of them.
///
/// A path is answered 400 (`ambiguous_path`) if it has an escape that is broken, not UTF-8, or
/// decodes to a slash, a backslash, a control character or another escape; a segment `.` or `..`,
/// escaped or not; or an empty segment before the last one. A trailing slash stays in
/// `action.path`: compare `action.segments` where both spellings are the same resource.
///
/// [`Admission`]: caracal_revocation_state::Admission
/// [`PolicyDecision`]: caracal_revocation_opa::PolicyDecision
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyLayer {
    guard: Guard,
}

impl PolicyLayer {
    /// A layer that asks these policies, with inputs built by `input`: a function, or
    /// [`ClaimsInput`](crate::ClaimsInput). Install a metrics recorder before making it.
    pub fn new(policies: ZonePolicies, input: impl BuildInput) -> Self {
        Self { guard: Guard::new(policies, Arc::new(input)) }
    }

    /// Refuses requests of every other zone.
    pub fn in_zone(mut self, zone: &str) -> Self {
        self.guard.zone = Some(zone.into());
        self
    }

    /// Answers every request over HTTP/2 in gRPC's terms: status 200, with the denial in
    /// `grpc-status`. For a service that speaks nothing but gRPC, such as
    /// [`GatewayLayer::grpc_only`](crate::GatewayLayer::grpc_only) is for.
    ///
    /// By default only an HTTP/2 `POST` with `te: trailers` and a content type of gRPC is answered
    /// so.
    pub fn grpc_only(mut self) -> Self {
        self.guard.grpc_only = true;
        self
    }

    /// Remembers up to `capacity` decisions, for `time_to_live`. One takes some hundred bytes, however
    /// long the request is; where its diagnostics make it larger, each 4 KiB count as one.
    ///
    /// A decision is remembered under the zone, the version and digest of its policy, the zone's
    /// generation and the whole input, so that an invalidation forgets it at once, and a claim or
    /// a path that differs is another decision. Only policies whose value depends on nothing else
    /// are remembered: those of embedded Rego without built-ins that were allowed by name.
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
