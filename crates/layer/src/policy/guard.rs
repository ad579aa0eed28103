//! Decides about a request by policy, and applies the decision: answer, counters and log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{MatchedPath, OriginalUri};
use bytes::Bytes;
use caracal_revocation_opa::{
    BoxFuture, Deciding, DecisionError, PolicyDecision, PolicyEffect, PolicyInput, ZonePolicies,
};
use caracal_revocation_state::{Admission, Authority, Claims};
use http::{Extensions, Request, Response, Uri};

use super::build::{BuildInput, RequestFacts};
use crate::answer::{self, ClientCapabilities, Content, RequestId, respond};
use crate::log::TARGET;
use crate::metrics::PolicyCounters;
use crate::{PolicyDenial, PolicyDenialKind, decoded_path};

#[derive(Clone)]
pub(super) struct Guard {
    pub(super) policies: ZonePolicies,
    pub(super) input: Arc<dyn BuildInput>,
    pub(super) zone: Option<Arc<str>>,
    /// `true` if the service has only gRPC methods.
    pub(super) grpc_only: bool,
    counters: PolicyCounters,
    mistakes: Arc<Mistakes>,
}

/// Logs signs that layers are in the wrong order or have different states, once for each layer.
#[derive(Default)]
struct Mistakes {
    /// `true` once a gateway layer has admitted a request, or once the lack of one was logged.
    admitted: AtomicBool,
    no_claims: AtomicBool,
    other_state: AtomicBool,
}

/// The decision about a request, now or later.
pub(super) enum PolicyStep {
    Now(Result<PolicyDecision, PolicyDenial>),
    Later(BoxFuture<'static, Result<PolicyDecision, DecisionError>>),
}

impl Guard {
    pub(super) fn new(policies: ZonePolicies, input: Arc<dyn BuildInput>) -> Self {
        Self {
            policies,
            input,
            zone: None,
            grpc_only: false,
            counters: PolicyCounters::register(),
            mistakes: Arc::default(),
        }
    }

    pub(super) fn authorize<B>(&self, request: &mut Request<B>) -> PolicyStep {
        // Another layer left them after the request was admitted.
        request.extensions_mut().remove::<Claims>();
        request.extensions_mut().remove::<Authority>();
        let input = match self.input(request) {
            Ok(input) => input,
            Err(kind) => return PolicyStep::Now(Err(kind.into())),
        };
        match self.policies.deciding(input) {
            Deciding::Now(decision) => PolicyStep::Now(require_allow(decision)),
            Deciding::Later(decision) => PolicyStep::Later(decision),
        }
    }

    fn input<B>(&self, request: &Request<B>) -> Result<PolicyInput, PolicyDenialKind> {
        let extensions = request.extensions();
        let admission = extensions.get::<Admission>().ok_or(PolicyDenialKind::NotAdmitted)?;
        self.mistakes.record_admission();
        if !admission.is_by(self.policies.revocations()) {
            return Err(PolicyDenialKind::OtherState);
        }
        let claims = admission.claims().ok_or(PolicyDenialKind::NoClaims)?;
        let claimed = claims.zone_id.as_deref().filter(|zone| !zone.is_empty());
        let zone = claimed.ok_or(PolicyDenialKind::NoZone)?;
        if self.zone.as_deref().is_some_and(|own| own != zone) {
            return Err(PolicyDenialKind::OtherZone);
        }
        let raw_uri = original_uri(request.uri(), extensions);
        let path = decoded_path(raw_uri.path()).ok_or(PolicyDenialKind::AmbiguousPath)?;
        let facts = RequestFacts {
            claims,
            zone,
            method: request.method(),
            path: &path,
            route: matched_route(extensions),
            raw_uri,
            headers: request.headers(),
            extensions,
        };
        let input = self.input.build(&facts).map_err(|_| PolicyDenialKind::InvalidInput)?;
        // The builder of the input must not choose the policy.
        if input.zone() == zone { Ok(input) } else { Err(PolicyDenialKind::OtherZone) }
    }

    /// Counts, logs and answers a denial. The response carries it in its extensions.
    pub(super) fn deny<B>(&self, rejection: PolicyDenial, request: &Request<B>) -> Response<Bytes> {
        let client = ClientCapabilities::of(request, self.grpc_only);
        let request_id = RequestId::sent(client.request_id.as_ref());
        self.report(&rejection, request_id.as_str());
        let kind = rejection.kind();
        let answer = answer::policy(kind);
        let content = Content {
            answer,
            description: answer.description,
            reason: kind.label(),
            challenge: None,
        };
        let mut response = respond(content, &request_id, client.grpc);
        response.extensions_mut().insert(rejection);
        response
    }

    fn report(&self, rejection: &PolicyDenial, request_id: &str) {
        let kind = rejection.kind();
        self.counters.denied(kind);
        self.mistakes.log(kind);
        tracing::info!(
            target: TARGET,
            reason = kind.label(),
            version = rejection.decision().map(|decision| tracing::field::debug(&decision.version)),
            cause = rejection.cause().map(tracing::field::display),
            request_id,
            "request denied by policy",
        );
    }
}

impl Mistakes {
    /// Notes that a gateway admitted a request, so the layers are in the right order. Later
    /// requests without an admission, such as anonymous ones, are then no sign of a mistake.
    fn record_admission(&self) {
        // Read first: the requests of all threads share it.
        if !self.admitted.load(Ordering::Relaxed) {
            self.admitted.store(true, Ordering::Relaxed);
        }
    }

    /// Logs the mistake that may be the cause of a denial for this reason.
    fn log(&self, kind: PolicyDenialKind) {
        let logged = match kind {
            PolicyDenialKind::NotAdmitted => &self.admitted,
            PolicyDenialKind::NoClaims => &self.no_claims,
            PolicyDenialKind::OtherState => &self.other_state,
            _ => return,
        };
        if !logged.swap(true, Ordering::Relaxed) {
            log_mistake(kind);
        }
    }
}

#[cold]
fn log_mistake(kind: PolicyDenialKind) {
    match kind {
        PolicyDenialKind::NoClaims => tracing::error!(
            target: TARGET,
            "a request was admitted on an unverified token: it is denied; give the gateway layer a \
             verifier, or verified claims",
        ),
        PolicyDenialKind::OtherState => tracing::error!(
            target: TARGET,
            "a request was admitted by another `Revocations`: it is denied; give the gateway layer \
             and the policies the same one",
        ),
        _ => tracing::warn!(
            target: TARGET,
            "no gateway admitted this request or any before it: it is denied; if good ones are \
             denied too, put the gateway layer outside the policy layer",
        ),
    }
}

/// Returns an allow, and turns every other decision into a denial.
pub(super) fn require_allow(
    decision: Result<PolicyDecision, DecisionError>,
) -> Result<PolicyDecision, PolicyDenial> {
    let decision = decision?;
    match decision.effect {
        PolicyEffect::Allow => Ok(decision),
        PolicyEffect::Deny => Err(PolicyDenial::denied(decision)),
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("policies", &self.policies).finish_non_exhaustive()
    }
}

/// Returns the URI that the client sent. axum's `nest` removes the prefix from the request's own.
fn original_uri<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r Uri {
    extensions.get().map_or(uri, |OriginalUri(original)| original)
}

/// Returns the route that axum matched, such as `/files/{name}`, with the prefixes of every `nest`.
fn matched_route(extensions: &Extensions) -> Option<&str> {
    extensions.get().map(MatchedPath::as_str)
}
