//! The counts and the worst delays that a report shows in addition to violations.

use crate::history::{Answer, Lost, Request};
use crate::time::At;

use super::history_index::HistoryIndex;
use super::{Counts, Delay};

pub(super) fn counts(index: &HistoryIndex<'_>) -> Counts {
    let history = index.history;
    let lost = |how| {
        let losses = history.revocations.iter().filter_map(|revocation| revocation.loss);
        losses.filter(|loss| loss.how == how).count()
    };
    let answered = |wanted: &[Answer]| {
        history.requests.iter().filter(|request| wanted.contains(&request.answer)).count()
    };
    Counts {
        faults: history.faults.len(),
        effective_faults: history.faults.iter().filter(|fault| fault.effect.is_some()).count(),
        revocations: history
            .revocations
            .iter()
            .filter(|revocation| revocation.acked.is_some())
            .count(),
        lost_by_server: lost(Lost::ByServer),
        wiped: lost(Lost::Wiped),
        removed: lost(Lost::Removed),
        requests: history.requests.len(),
        admitted: answered(&[Answer::Admitted]),
        revoked: answered(&[Answer::Revoked]),
        history_incomplete: answered(&[Answer::HistoryIncomplete]),
        unavailable: answered(&[Answer::Stale, Answer::NotReady, Answer::NoPolicy]),
        unanswered: answered(&[Answer::None]),
        held: history.held.len(),
        cut: history.held.iter().filter(|held| held.ended.is_some()).count(),
        excused: history.requests.iter().filter(|request| is_excused(index, request)).count(),
    }
}

fn is_excused(index: &HistoryIndex<'_>, request: &Request) -> bool {
    request.answer == Answer::Admitted
        && index.revocation(request).is_some_and(|revocation| {
            revocation.acked.is_some_and(|acked| acked < request.sent)
                && index.is_excused(revocation, request)
        })
}

/// Returns the longest time for which a reader admitted a revoked token. With `calm`, counts only
/// readers that nothing has hindered since they had recovered, before the revocation was published.
pub(super) fn worst(index: &HistoryIndex<'_>, calm: bool) -> Option<Delay> {
    let admitted = index.history.requests.iter().filter(|r| r.answer == Answer::Admitted);
    let delays = admitted.filter_map(|request| {
        let revocation = index.revocation(request)?;
        let acked = revocation.acked.filter(|acked| *acked < request.sent)?;
        let is_calm = || index.is_calm(request, acked) && index.can_verify(request, revocation);
        if index.is_excused(revocation, request) || (calm && !is_calm()) {
            return None;
        }
        Some(Delay { at: request.sent, delay: request.sent.since(acked) })
    });
    delays.max_by_key(|delay| delay.delay)
}

/// Returns the longest time from Redis being back to the last 503.
pub(super) fn worst_recovery(index: &HistoryIndex<'_>) -> Option<Delay> {
    let unknown = index.history.requests.iter();
    let unknown =
        unknown.filter(|r| !index.is_unprovable(r) && !super::explain::signatures_fail(index, r));
    let unknown = unknown.filter(|r| !index.is_stepped(r));
    let unknown = unknown.filter(|r| matches!(r.answer, Answer::Stale | Answer::NotReady));
    let delays = unknown.filter_map(|request| {
        let back: At = index.unhindered_since(request)?;
        (request.sent > back).then(|| Delay { at: request.sent, delay: request.sent.since(back) })
    });
    delays.max_by_key(|delay| delay.delay)
}
