//! The decision carried out: extensions, counters and the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use caracal_revocation_mandate::{Mandate, Requirements, VerifyError};
use caracal_revocation_state::{Admitted, Checks, Revocations};
use http::{HeaderMap, Request};

use super::judge::{Judge, Judged, Judgement, Pass, Verification};
use super::observed::Observed;
use crate::answer::Profile;
use crate::metrics::Counters;
use crate::request_id::RequestId;
use crate::{Rejection, RejectionKind, log};

#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) judge: Judge,
    pub(crate) observe_only: bool,
    profile: Profile,
    counters: Counters,
    /// Whether the log was told that tokens arrive which nobody verified.
    told_unverified: Arc<AtomicBool>,
}

/// A request that goes no further.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    pub(crate) rejection: Rejection,
    pub(crate) request_id: RequestId,
    pub(crate) profile: Profile,
}

pub(crate) enum Admission {
    Admitted,
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
        };
        let told_unverified = Arc::new(AtomicBool::new(false));
        let counters = Counters::register(profile);
        Self { judge, observe_only: false, profile, counters, told_unverified }
    }

    /// Whether the request goes on; it then carries what was decided.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>) -> Admission {
        match self.judge.judge(request.headers(), request.extensions()) {
            Judged::Verifying(verification) => Admission::Verifying(verification),
            Judged::Decided(judgement) => self
                .carry_out(request, judgement)
                .map_or_else(Admission::Denied, |()| Admission::Admitted),
        }
    }

    /// The same, once the verifier has answered.
    pub(crate) fn conclude<B>(
        &self,
        request: &mut Request<B>,
        verified: Result<Mandate, VerifyError>,
    ) -> Result<(), Denial> {
        self.carry_out(request, self.judge.conclude(verified))
    }

    fn carry_out<B>(
        &self,
        request: &mut Request<B>,
        Judgement { outcome, mandate }: Judgement,
    ) -> Result<(), Denial> {
        // What another layer decided, earlier and on other terms, must not pass for this.
        request.extensions_mut().remove::<Admitted>();
        request.extensions_mut().remove::<Observed>();
        request.extensions_mut().remove::<Mandate>();
        if let Some(mandate) = mandate {
            request.extensions_mut().insert(mandate);
        }
        if let Ok(Pass::Admitted(admitted)) = &outcome {
            request.extensions_mut().insert(*admitted);
            if let Some(unknown) = admitted.failed_open() {
                self.counters.failed_open(unknown);
            }
        }
        let denial =
            outcome.as_ref().err().map(|rejection| self.deny(rejection, request.headers()));
        if self.observe_only {
            request.extensions_mut().insert(Observed::new(outcome));
            return Ok(());
        }
        denial.map_or(Ok(()), Err)
    }

    /// Counts and logs a denial.
    fn deny(&self, rejection: &Rejection, headers: &HeaderMap) -> Denial {
        let request_id = RequestId::of(headers);
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
        let denial = Denial { rejection: rejection.clone(), request_id, profile: self.profile };
        log::denial(&denial, !self.observe_only);
        denial
    }
}
