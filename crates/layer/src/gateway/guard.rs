//! The decision carried out: extensions, counters and the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use caracal_revocation_state::{Admitted, Checks, Revocations};
use http::Request;

use super::judge::{Judge, Pass};
use super::observed::Observed;
use crate::metrics::Counters;
use crate::request_id::RequestId;
use crate::{Rejection, RejectionKind, log};

#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) judge: Judge,
    pub(super) observe_only: bool,
    counters: Counters,
    /// Whether the log was told that tokens arrive which nobody verified.
    told_unverified: Arc<AtomicBool>,
}

/// A request that goes no further.
#[derive(Clone, Debug)]
pub(super) struct Denial {
    pub(super) rejection: Rejection,
    pub(super) request_id: RequestId,
}

impl Guard {
    pub(super) fn new(revocations: Revocations) -> Self {
        let judge = Judge {
            revocations,
            checks: Checks::default(),
            allow_anonymous: false,
            unverified_claims: false,
        };
        let told_unverified = Arc::new(AtomicBool::new(false));
        Self { judge, observe_only: false, counters: Counters::register(), told_unverified }
    }

    /// Whether the request goes on; it then carries what was decided.
    pub(super) fn admit<B>(&self, request: &mut Request<B>) -> Result<(), Denial> {
        let outcome = self.judge.judge(request.headers(), request.extensions());
        // What another layer decided, earlier and on other terms, must not pass for this.
        request.extensions_mut().remove::<Admitted>();
        request.extensions_mut().remove::<Observed>();
        if let Ok(Pass::Admitted(admitted)) = &outcome {
            request.extensions_mut().insert(*admitted);
        }
        let denial = outcome.as_ref().err().map(|rejection| self.report(rejection, request));
        if self.observe_only {
            request.extensions_mut().insert(Observed::new(outcome));
            return Ok(());
        }
        denial.map_or(Ok(()), Err)
    }

    fn report<B>(&self, rejection: &Rejection, request: &Request<B>) -> Denial {
        let request_id = RequestId::of(request.headers());
        let kind = rejection.kind();
        if self.observe_only {
            self.counters.observed(kind);
        } else {
            self.counters.denied(kind);
        }
        if kind == RejectionKind::UnverifiedToken
            && !self.told_unverified.swap(true, Ordering::Relaxed)
        {
            log::unverified_tokens();
        }
        log::denial(rejection, &request_id, !self.observe_only);
        Denial { rejection: rejection.clone(), request_id }
    }
}
