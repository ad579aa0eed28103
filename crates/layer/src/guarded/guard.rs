//! The decision carried out: extensions, counters and the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use caracal_revocation_mandate::{Mandate, Requirements, VerifyError};
use caracal_revocation_state::{Admission, Checks, Revocations, Running};
use http::{Request, Version};

use super::caller::{Caller, came_through_proxy};
use super::cutting::{Cutting, Trailer};
use super::judge::{Judge, Judged, Judgement, Verification};
use super::observed::Observed;
use super::run::Run;
use super::service::Guarded;
use crate::answer::Profile;
use crate::metrics::{Counters, CutCounters};
use crate::request_id::RequestId;
use crate::{Rejection, RejectionKind, log};

#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) judge: Judge,
    pub(crate) observe_only: bool,
    pub(crate) cutting: Cutting,
    /// The service behind speaks nothing but gRPC.
    pub(crate) grpc_only: bool,
    profile: Profile,
    counters: Counters,
    cuts: CutCounters,
    /// Whether the log was told that tokens arrive which nobody verified.
    told_unverified: Arc<AtomicBool>,
}

/// A request that goes no further.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    pub(crate) rejection: Rejection,
    pub(crate) request_id: RequestId,
    pub(crate) profile: Profile,
    /// Whether the client speaks gRPC.
    pub(crate) grpc: bool,
}

pub(crate) enum Course {
    /// What runs, unless nothing cuts it.
    Admitted(Option<Run>),
    Denied(Box<Denial>),
    /// The answer is [`Guard::conclude`]'s, once the verifier is done.
    Verifying(Verification),
}

impl Guard {
    pub(crate) fn new(revocations: Revocations, profile: Profile) -> Self {
        let judge = Judge {
            revocations,
            checks: Checks::default(),
            allow_anonymous: false,
            unverified_claims: false,
            verifier: None,
            requirements: Requirements::new().max_hops(u32::MAX),
            watch: OnceLock::new(),
        };
        let told_unverified = Arc::new(AtomicBool::new(false));
        let counters = Counters::register(profile);
        let (cutting, cuts) = (Cutting::new(), CutCounters::register(profile));
        Self {
            judge,
            observe_only: false,
            cutting,
            grpc_only: false,
            profile,
            counters,
            cuts,
            told_unverified,
        }
    }

    /// The service behind this guard.
    pub(crate) fn around<S>(self: &Arc<Self>, inner: S) -> Guarded<S> {
        // Once for all services of the layer: axum makes one for each request, where it was not
        // given its state beforehand.
        self.judge.watch.get_or_init(|| {
            let Judge { revocations, checks, .. } = &self.judge;
            let cuts = || self.cutting.watch(revocations, checks, self.cuts.clone());
            if self.observe_only { None } else { cuts() }
        });
        Guarded { inner, guard: Arc::clone(self) }
    }

    /// Another guard that differs by this.
    pub(crate) fn changed(mut guard: Arc<Self>, change: impl FnOnce(&mut Self)) -> Arc<Self> {
        let changed = Arc::make_mut(&mut guard);
        // What was watched on other terms.
        changed.judge.watch = OnceLock::new();
        change(changed);
        guard
    }

    /// Whether the request goes on; it then carries what was decided.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>) -> Course {
        match self.judge.judge(request.headers(), request.extensions()) {
            Judged::Verifying(verification) => Course::Verifying(verification),
            Judged::Decided(judgement) => {
                self.carry_out(request, judgement).map_or_else(Course::Denied, Course::Admitted)
            }
        }
    }

    /// The same, once the verifier has answered.
    pub(crate) fn conclude<B>(
        &self,
        request: &mut Request<B>,
        verified: Result<Mandate, VerifyError>,
    ) -> Result<Option<Run>, Box<Denial>> {
        self.carry_out(request, self.judge.conclude(verified))
    }

    fn carry_out<B>(
        &self,
        request: &mut Request<B>,
        Judgement { outcome, mandate, running }: Judgement,
    ) -> Result<Option<Run>, Box<Denial>> {
        // What another layer decided, earlier and on other terms, must not pass for this.
        put(request, mandate);
        let admitted = outcome.as_ref().ok().and_then(|pass| pass.admitted());
        put(request, admitted.map(|admitted| Admission::new(admitted, running.clone())));
        if let Some(unknown) = admitted.and_then(|admitted| admitted.failed_open()) {
            self.counters.failed_open(unknown);
        }
        let denial = outcome.as_ref().err().map(|rejection| self.deny(rejection, request));
        if self.observe_only {
            let outcome = outcome.map_err(|rejection| *rejection);
            put(request, Some(Observed::new(outcome)));
            return Ok(None);
        }
        put::<Observed, _>(request, None);
        denial.map_or_else(|| Ok(running.map(|running| self.run(request, running))), Err)
    }

    fn run<B>(&self, request: &Request<B>, running: Running) -> Run {
        if self.cutting.finish_handlers {
            running.let_finish();
        }
        let mut caller = Caller::of(request, self.grpc_only);
        // A gRPC client reads its status only.
        caller.takes_trailers = caller.takes_trailers
            && !caller.grpc
            && match self.cutting.trailer {
                Trailer::Direct => !came_through_proxy(request.headers()),
                Trailer::Always => true,
                Trailer::Never => false,
            };
        let needs_length = caller.version < Version::HTTP_11 && !self.cutting.http10_streams;
        let needs_length = needs_length.then(|| Box::new(self.counters.clone()));
        Run { running, caller, profile: self.profile, needs_length }
    }

    /// Counts and logs a denial.
    fn deny<B>(&self, rejection: &Rejection, request: &Request<B>) -> Box<Denial> {
        let request_id = RequestId::of(request.headers());
        let kind = rejection.kind();
        if self.observe_only {
            self.counters.observed(kind);
        } else {
            self.counters.denied(kind);
            self.counters.enforced(rejection);
        }
        if kind == RejectionKind::UnverifiedToken
            && !self.told_unverified.swap(true, Ordering::Relaxed)
        {
            log::unverified_tokens();
        }
        let grpc = Caller::of(request, self.grpc_only).grpc;
        let (rejection, profile) = (rejection.clone(), self.profile);
        let denial = Box::new(Denial { rejection, request_id, profile, grpc });
        log::denial(&denial, !self.observe_only);
        denial
    }
}

/// In place of what was there.
fn put<T: Clone + Send + Sync + 'static, B>(request: &mut Request<B>, value: Option<T>) {
    match value {
        Some(value) => drop(request.extensions_mut().insert(value)),
        None => drop(request.extensions_mut().remove::<T>()),
    }
}
