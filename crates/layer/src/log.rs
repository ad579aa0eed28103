//! What the log says of a denial: never the token, nor anything that would stand in for it.

use caracal_revocation_state::CutReport;

use crate::guarded::Denial;

const TARGET: &str = "caracal_revocation::denial";
const CUT_TARGET: &str = "caracal_revocation::cut";

pub(crate) fn denial(denial: &Denial, enforced: bool) {
    let rejection = &denial.rejection;
    tracing::info!(
        target: TARGET,
        reason = rejection.kind().label(),
        // Formatted for debugging, so that control characters cannot forge a line.
        zone = rejection.zone().map(tracing::field::debug),
        anchor = rejection.anchor().map(|anchor| anchor.label()),
        request_id = denial.request_id.as_str(),
        status = denial.profile.answer(rejection.kind()).status.as_u16(),
        enforced,
        "request denied",
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

/// Every request with a token will be refused: the layers stand in the wrong order.
pub(crate) fn unverified_tokens() {
    tracing::error!(
        target: TARGET,
        "a bearer token came without claims: the authentication layer that puts `Claims` into \
         the request's extensions must stand outside the revocation layer",
    );
}

/// Every such request will be refused: two layers do not share one state.
pub(crate) fn other_state() {
    tracing::error!(
        target: TARGET,
        "a request came with an identity of another `Revocations`: give all layers in front of a \
         service the same one",
    );
}
