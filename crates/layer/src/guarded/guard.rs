//! Applies the decision about a request: extensions, counters and log.

use std::sync::{Arc, OnceLock};

use caracal_revocation_mandate::{Anonymous, Mandate, Requirements};
use caracal_revocation_state::{
    Admission, Authority, Checks, Claims, Identity, RequestCancellation, Revocations,
};
use http::{Extensions, Request, Version};

use super::authorizer::{AuthorizeOutcome, AuthorizeStep, Authorizer, FinishedStep};
use super::connection::ConnectionId;
use super::cutting::{CutOptions, Trailer};
use super::decision::{GuardDecision, Observed};
use super::request_context::RequestContext;
use super::single_use::{self, SingleUse, UseAdmitted};
use crate::answer::{ClientCapabilities, Denial, Profile, RequestId, came_through_proxy};
use crate::log::Mistakes;
use crate::metrics::{Counters, CutCounters, Front};
use crate::{RequestDenial, RequestDenialKind, challenge, log};

#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) authorizer: Authorizer,
    pub(crate) observe_only: bool,
    pub(crate) cutting: CutOptions,
    pub(crate) single_use: SingleUse,
    /// `true` if the service has only gRPC methods.
    pub(crate) grpc_only: bool,
    /// The address of the resource's metadata.
    pub(crate) resource_metadata: Option<Arc<str>>,
    /// The parameters of every challenge.
    challenge: Option<Arc<str>>,
    profile: Profile,
    counters: Counters,
    cuts: CutCounters,
    mistakes: Arc<Mistakes>,
}

impl Guard {
    pub(crate) fn new(revocations: Revocations, profile: Profile) -> Self {
        let authorizer = Authorizer {
            revocations,
            checks: Checks::default(),
            allow_anonymous: false,
            unverified_claims: false,
            verifier: None,
            requirements: Requirements::new().max_hops(u32::MAX),
            watch: OnceLock::new(),
        };
        let (front, cutting) = (Front::default(), CutOptions::new());
        let counters = Counters::register(profile, front);
        let cuts = CutCounters::register(profile, front);
        Self {
            authorizer,
            observe_only: false,
            cutting,
            single_use: SingleUse::default(),
            grpc_only: false,
            resource_metadata: None,
            challenge: None,
            profile,
            counters,
            cuts,
            mistakes: Arc::default(),
        }
    }

    /// Counts under this label from here on.
    pub(crate) fn set_front(&mut self, front: &'static str) {
        let front = Front::new(front);
        self.counters = Counters::register(self.profile, front);
        self.cuts = CutCounters::register(self.profile, front);
    }

    /// Creates the cut policy, once for all services of the layer. axum may create a service for
    /// each request.
    pub(super) fn start_watch(&self) {
        self.authorizer.watch.get_or_init(|| {
            let Authorizer { revocations, checks, .. } = &self.authorizer;
            let cuts = || self.cutting.watch(revocations, checks, self.cuts.clone());
            if self.observe_only { None } else { cuts() }
        });
    }

    /// Returns a guard with this change.
    pub(crate) fn changed(mut guard: Arc<Self>, change: impl FnOnce(&mut Self)) -> Arc<Self> {
        let changed = Arc::make_mut(&mut guard);
        // The old cut policy has the old settings.
        changed.authorizer.watch = OnceLock::new();
        change(changed);
        let metadata = changed.resource_metadata.as_deref();
        changed.challenge = challenge::parameters(&changed.authorizer.requirements, metadata);
        guard
    }

    /// Decides about the request. An admitted request gets the decision in its extensions.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>) -> GuardDecision {
        // Moved out of the request, because `authorize` borrows the headers at the same time.
        let mut extensions = std::mem::take(request.extensions_mut());
        let step = self.authorizer.authorize(request.headers(), &mut extensions);
        *request.extensions_mut() = extensions;
        match step {
            AuthorizeStep::Verifying(step) => GuardDecision::Waiting(step),
            AuthorizeStep::Decided(outcome) => self.record_use(request, outcome),
        }
    }

    /// Decides about the request with the result of the step that it waited for.
    pub(crate) fn conclude<B>(
        &self,
        request: &mut Request<B>,
        finished: FinishedStep,
    ) -> GuardDecision {
        match finished {
            FinishedStep::Verified(verified) => {
                self.record_use(request, self.authorizer.conclude(verified))
            }
            FinishedStep::Recorded(outcome, answer) => {
                let admitted = self.single_use.conclude(answer);
                let outcome = match admitted {
                    Err(kind) => outcome.deny(kind),
                    // The authority may have been revoked in between.
                    Ok(_) => self.authorizer.decide_again(outcome),
                };
                if admitted == Ok(UseAdmitted::FailedOpen) && outcome.result.is_ok() {
                    self.counters.use_failed_open();
                }
                self.apply_decision(request, outcome)
            }
        }
    }

    /// Records the use of a mandate that may be used once, if every other check admits the request.
    fn record_use<B>(&self, request: &mut Request<B>, outcome: AuthorizeOutcome) -> GuardDecision {
        let admission = outcome.result.as_ref().ok().and_then(Option::as_ref);
        let (Some(record), Some(admission), false) =
            (&self.single_use.record, admission, self.observe_only)
        else {
            return self.apply_decision(request, outcome);
        };
        let left = || request.extensions().get::<Mandate>().filter(|left| left.is_of(admission));
        let Some(mandate) = outcome.mandate.as_ref().or_else(left) else {
            return self.apply_decision(request, outcome.deny(RequestDenialKind::UnverifiedToken));
        };
        if SingleUse::is_exempt(mandate) {
            return self.apply_decision(request, outcome);
        }
        let request_id = RequestId::of(request.headers());
        let (record, now) = (Arc::clone(record), self.authorizer.revocations.now());
        let recording = single_use::record(record, mandate.clone(), request_id, now);
        GuardDecision::Waiting(Box::pin(
            async move { FinishedStep::Recorded(outcome, recording.await) },
        ))
    }

    fn apply_decision<B>(
        &self,
        request: &mut Request<B>,
        AuthorizeOutcome { result, mandate, taken }: AuthorizeOutcome,
    ) -> GuardDecision {
        let decided_on = result.iter().flatten().find_map(Admission::identity);
        if taken.is_some() || decided_on.is_some() {
            self.mistakes.record_claims();
        }
        let admission = match result {
            Ok(admission) => admission,
            Err(rejection) => return self.deny_or_observe(request, *rejection, mandate, taken),
        };
        let admitted = admission.as_ref().map(Admission::admitted);
        if let Some(unknown) = admitted.and_then(|admitted| admitted.failed_open()) {
            self.counters.failed_open(unknown);
        }
        let running = admission.as_ref().and_then(Admission::running).cloned();
        let extensions = request.extensions_mut();
        // From here on, only the admission carries the identity. Inner layers must not mistake
        // claims, authorities and mandates of other layers for it.
        extensions.remove::<Claims>();
        extensions.remove::<Authority>();
        let is_left = |left: &Mandate| admission.as_ref().is_some_and(|now| left.is_of(now));
        if let Some(mandate) = mandate.or_else(|| extensions.remove().filter(is_left)) {
            extensions.insert(mandate);
        }
        if admission.is_none() {
            extensions.insert(Anonymous);
        }
        set_extension(extensions, admission);
        set_extension(extensions, self.observe_only.then(|| Observed::new(Ok(admitted))));
        GuardDecision::Admitted(running.map(|running| self.request_context(request, running)))
    }

    /// Denies the request. With `observe_only`, the request goes on, with the denial in its
    /// extensions.
    fn deny_or_observe<B>(
        &self,
        request: &mut Request<B>,
        rejection: RequestDenial,
        mandate: Option<Mandate>,
        taken: Option<Identity>,
    ) -> GuardDecision {
        let denial = self.deny(&rejection, request);
        if !self.observe_only {
            return GuardDecision::Denied(denial);
        }
        let extensions = request.extensions_mut();
        extensions.remove::<Anonymous>();
        match taken {
            Some(Identity::Claims(claims)) => set_extension(extensions, Arc::into_inner(claims)),
            Some(Identity::Authority(authority)) => set_extension(extensions, Some(authority)),
            _ => {}
        }
        if mandate.is_some() {
            set_extension(extensions, mandate);
        }
        set_extension(extensions, Some(Observed::new(Err(rejection))));
        GuardDecision::Admitted(None)
    }

    fn request_context<B>(
        &self,
        request: &Request<B>,
        running: RequestCancellation,
    ) -> RequestContext {
        if self.cutting.finish_handlers {
            running.let_finish();
        }
        if request.version() >= Version::HTTP_2
            && let Some(ConnectionId(id)) = request.extensions().get()
        {
            running.set_connection(*id);
        }
        let mut client = ClientCapabilities::of(request, self.grpc_only);
        // A gRPC client reads only the status.
        client.takes_trailers = client.takes_trailers
            && !client.grpc
            && match self.cutting.trailer {
                Trailer::Direct => !came_through_proxy(request.headers()),
                Trailer::Always => true,
                Trailer::Never => false,
            };
        let needs_length = client.version < Version::HTTP_11 && !self.cutting.http10_streams;
        let needs_length = needs_length.then(|| Box::new(self.counters.clone()));
        let challenge = self.challenge.clone();
        RequestContext { running, client, profile: self.profile, challenge, needs_length }
    }

    /// Counts and logs a denial.
    pub(crate) fn deny<B>(&self, rejection: &RequestDenial, request: &Request<B>) -> Box<Denial> {
        let request_id = RequestId::of(request.headers());
        let kind = rejection.kind();
        if self.observe_only {
            self.counters.observed(kind);
        } else {
            self.counters.denied(kind);
            self.counters.enforced(rejection);
        }
        self.mistakes.log(kind);
        let grpc = ClientCapabilities::of(request, self.grpc_only).grpc;
        let (rejection, profile) = (rejection.clone(), self.profile);
        let challenge = self.challenge.clone();
        let denial = Box::new(Denial { rejection, request_id, profile, grpc, challenge });
        log::denial(&denial, !self.observe_only, self.counters.front());
        denial
    }
}

/// Sets an extension, or removes it if there is no value.
fn set_extension<T: Clone + Send + Sync + 'static>(extensions: &mut Extensions, value: Option<T>) {
    match value {
        Some(value) => drop(extensions.insert(value)),
        None => drop(extensions.remove::<T>()),
    }
}
