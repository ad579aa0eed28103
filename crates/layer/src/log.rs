//! The log events of denials and cuts. They never hold the token or the id of an anchor.

use std::sync::atomic::{AtomicBool, Ordering};

use caracal_revocation_state::{CutReport, UseRecordError};

use crate::RequestDenialKind;
use crate::answer::Denial;

pub(crate) const TARGET: &str = "caracal_revocation::denial";
const CUT_TARGET: &str = "caracal_revocation::cut";

pub(crate) fn denial(denial: &Denial, enforced: bool, front: Option<&'static str>) {
    let rejection = &denial.rejection;
    tracing::info!(
        target: TARGET,
        reason = rejection.kind().label(),
        // The debug format escapes control characters, so that a client cannot forge a line.
        zone = rejection.zone().map(tracing::field::debug),
        anchor = rejection.anchor().map(|anchor| anchor.label()),
        request_id = denial.request_id.as_str(),
        status = denial.profile.answer(rejection.kind()).status.as_u16(),
        enforced,
        front,
        audit = (rejection.kind() == RequestDenialKind::Replayed).then_some("replay_detected"),
        "request denied",
    );
}

/// Logs, at level debug, an outage of the record of used mandates: the record itself reports it.
pub(crate) fn use_unknown(error: &UseRecordError, fail_open: bool) {
    tracing::debug!(
        target: TARGET,
        %error, fail_open,
        "the use of a mandate is not known to be recorded",
    );
}

pub(crate) fn cut(report: &CutReport<'_>) {
    tracing::info!(
        target: CUT_TARGET,
        reason = report.cut.label(),
        zone = report.zone.map(tracing::field::debug),
        anchor = report.cut.anchor().map(|anchor| anchor.label()),
        part = report.part.label(),
        "running request cut",
    );
}

/// Logs signs that layers are in the wrong order or have different states, once for each layer.
#[derive(Debug, Default)]
pub(crate) struct Mistakes {
    /// `true` once a request came with claims, or once the absence of claims was logged.
    claims: AtomicBool,
    other_state: AtomicBool,
}

impl Mistakes {
    /// Notes that a request came with claims, so the authentication layer is in the right place. A
    /// later token without claims is then only a bad token.
    pub(crate) fn record_claims(&self) {
        // Read first: the requests of all threads share it.
        if !self.claims.load(Ordering::Relaxed) {
            self.claims.store(true, Ordering::Relaxed);
        }
    }

    /// Logs the mistake that may be the cause of a denial for this reason.
    pub(crate) fn log(&self, kind: RequestDenialKind) {
        match kind {
            RequestDenialKind::UnverifiedToken if !self.claims.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    target: TARGET,
                    "no bearer token came with verified claims so far: this one is denied; if \
                     good tokens are denied too, put the authentication layer outside the \
                     revocation layer",
                );
            }
            RequestDenialKind::OtherState if !self.other_state.swap(true, Ordering::Relaxed) => {
                tracing::error!(
                    target: TARGET,
                    "a request came with an identity of another `Revocations`: it is denied; give \
                     all layers in front of a service the same one",
                );
            }
            _ => {}
        }
    }
}
