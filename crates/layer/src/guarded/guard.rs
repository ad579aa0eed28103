//! The decision carried out: extensions, counters and the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use caracal_revocation_mandate::{Mandate, Requirements, VerifyError};
use caracal_revocation_state::{Admitted, Checks, Revocations, Running};
use http::Request;

use super::caller::{Caller, is_grpc};
use super::cutting::Cutting;
use super::judge::{Judge, Judged, Judgement, Pass, Verification};
use super::observed::Observed;
use super::run::Run;
use super::service::Guarded;
use super::signal::RevokedSignal;
use crate::answer::Profile;
use crate::metrics::{Counters, CutCounters};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::{Rejection, RejectionKind, log};

#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) judge: Judge,
    pub(crate) observe_only: bool,
    pub(crate) cutting: Cutting,
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

pub(crate) enum Admission {
    /// What runs, unless nothing cuts it.
    Admitted(Option<Run>),
    Denied(Denial),
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
            watch: None,
        };
        let told_unverified = Arc::new(AtomicBool::new(false));
        let counters = Counters::register(profile);
        let (cutting, cuts) = (Cutting::new(), CutCounters::register(profile));
        Self { judge, observe_only: false, cutting, profile, counters, cuts, told_unverified }
    }

    /// The service behind this guard.
    pub(crate) fn around<S>(&self, inner: S) -> Guarded<S> {
        let mut guard = self.clone();
        let judge = &mut guard.judge;
        if !self.observe_only {
            let cuts = self.cuts.clone();
            judge.watch = self.cutting.watch(&judge.revocations, &judge.checks, cuts);
        }
        Guarded { inner, guard: Arc::new(guard) }
    }

    /// Whether the request goes on; it then carries what was decided.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>) -> Admission {
        match self.judge.judge(request.headers(), request.extensions()) {
            Judged::Verifying(verification) => Admission::Verifying(verification),
            Judged::Decided(judgement) => self
                .carry_out(request, judgement)
                .map_or_else(Admission::Denied, Admission::Admitted),
        }
    }

    /// The same, once the verifier has answered.
    pub(crate) fn conclude<B>(
        &self,
        request: &mut Request<B>,
        verified: Result<Mandate, VerifyError>,
    ) -> Result<Option<Run>, Denial> {
        self.carry_out(request, self.judge.conclude(verified))
    }

    fn carry_out<B>(
        &self,
        request: &mut Request<B>,
        Judgement { outcome, mandate, running }: Judgement,
    ) -> Result<Option<Run>, Denial> {
        // What another layer decided, earlier and on other terms, must not pass for this.
        request.extensions_mut().remove::<Admitted>();
        request.extensions_mut().remove::<Observed>();
        request.extensions_mut().remove::<Mandate>();
        request.extensions_mut().remove::<RevokedSignal>();
        if let Some(mandate) = mandate {
            request.extensions_mut().insert(mandate);
        }
        if let Ok(Pass::Admitted(admitted)) = &outcome {
            request.extensions_mut().insert(*admitted);
            if let Some(unknown) = admitted.failed_open() {
                self.counters.failed_open(unknown);
            }
        }
        let denial = outcome.as_ref().err().map(|rejection| self.deny(rejection, request));
        if self.observe_only {
            request.extensions_mut().insert(Observed::new(outcome));
            return Ok(None);
        }
        denial.map_or_else(|| Ok(running.map(|running| self.run(request, running))), Err)
    }

    fn run<B>(&self, request: &mut Request<B>, running: Running) -> Run {
        if self.cutting.finish_handlers {
            running.let_finish();
        }
        request.extensions_mut().insert(RevokedSignal(running.clone()));
        Run {
            running,
            caller: Caller::of(request),
            profile: self.profile,
            request_id: request.headers().get(X_REQUEST_ID).cloned(),
        }
    }

    /// Counts and logs a denial.
    fn deny<B>(&self, rejection: &Rejection, request: &Request<B>) -> Denial {
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
        let grpc = is_grpc(request.headers());
        let (rejection, profile) = (rejection.clone(), self.profile);
        let denial = Denial { rejection, request_id, profile, grpc };
        log::denial(&denial, !self.observe_only);
        denial
    }
}
