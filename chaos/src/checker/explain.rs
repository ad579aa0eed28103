//! Decides which denials the injected faults explain.

use std::time::Duration;

use crate::history::{GapScope, Injected, Request};
use crate::setup::Setup;
use crate::time::At;

use super::Rule;
use super::history_index::HistoryIndex;

/// The longest time between two completeness proofs of an unhindered reader.
const PROVEN_EVERY: Duration = Duration::from_millis(800);
/// The longest time that sentinels or a cluster add: a proof is as old as the last confirmation of
/// the primary by a majority.
const CONFIRMED_EVERY: Duration = Duration::from_secs(1);
/// The error of a reader's estimate of the server's clock, and so of a message's age.
const CLOCK_ERROR: Duration = Duration::from_millis(300);
/// The time for which a message that no accepted key signed explains denials in strict mode.
const ALARMED: Duration = Duration::from_secs(60);
/// The longest pause between two reads of the baseline that re-cut messages cause.
const RECUT_PAUSE: Duration = Duration::from_secs(30);
/// The time after a recovery up to which a denial may result from it.
const STILL_RECOVERING: Duration = Duration::from_secs(10);

/// Returns `Ok` if a fault explains that the reader's last proof is older than the bound.
pub(super) fn stale(index: &HistoryIndex<'_>, request: &Request) -> Result<(), Rule> {
    let bound = index.history.promise.bound;
    let proven_every = proven_every(index, request);
    // The last proof may come from the previous process.
    let life = index.life(request);
    if index.is_unprovable(request) || signatures_fail(index, request) || index.is_stepped(request)
    {
        return Ok(());
    }
    let back = index.back(request, life.started);
    if life.recalled.is_some() && request.sent <= back.plus(index.recovery()) {
        return Ok(());
    }
    let Some(window) = index.windows(request).last_before(request.received) else {
        return Err(Rule::Unexplained);
    };
    if request.received.since(window.began) + proven_every < bound {
        return Err(Rule::Unexplained);
    }
    // The first proof after it may wait for a large reply.
    within_recovery(index, window.ended.plus(enlarged(index, request)), request.sent)
}

/// Returns `Ok` if a fault explains that the policy is too old, or is loaded again.
pub(super) fn no_policy(index: &HistoryIndex<'_>, request: &Request) -> Result<(), Rule> {
    let is_recent = |at: At| request.sent <= at.plus(index.recovery());
    let is_recovering = index.unhindered_since(request).is_none_or(is_recent);
    let mut gaps = index.history.faults.iter().filter(|fault| fault.gap != GapScope::Nobody);
    if is_recovering || gaps.any(|fault| fault.began <= request.received && is_recent(fault.ended))
    {
        return Ok(());
    }
    stale(index, request)
}

/// Returns the longest time between two proofs of an unhindered reader.
fn proven_every(index: &HistoryIndex<'_>, request: &Request) -> Duration {
    let is_confirmed = index.history.setup != Setup::Pair;
    PROVEN_EVERY
        + enlarged(index, request)
        + if is_confirmed { CONFIRMED_EVERY } else { Duration::ZERO }
}

/// Returns how much later a proof may be because of a large message at the start of a stream. A
/// reader asks for counters with large replies at least three times in the bound.
fn enlarged(index: &HistoryIndex<'_>, request: &Request) -> Duration {
    let mut faults = index.history.faults.iter();
    if faults.any(|fault| fault.enlarges && fault.began <= request.received) {
        index.history.promise.bound / 3
    } else {
        Duration::ZERO
    }
}

/// Returns `true` if a failed signature explains a stale view. In strict mode the view is no
/// fresher than the first message that no accepted key has signed.
pub(super) fn signatures_fail(index: &HistoryIndex<'_>, request: &Request) -> bool {
    let bound = index.history.promise.bound;
    let by = request.received.minus(bound.saturating_sub(CLOCK_ERROR));
    let is_forged = |fault: &Injected| {
        let until = fault.ended.plus(ALARMED);
        fault.forges && fault.began <= by && request.sent <= until.plus(index.recovery())
    };
    index.history.promise.strict
        && (index.fails_verification(request, by) || index.history.faults.iter().any(is_forged))
}

/// Returns `Ok` if a fault explains that the reader has not read the history yet.
pub(super) fn not_ready(index: &HistoryIndex<'_>, request: &Request) -> Result<(), Rule> {
    if index.ready(request).is_some_and(|ready| ready < request.sent) {
        // A snapshot can make a process ready, and missing streams then make it unready again.
        let wiped = index.history.faults.iter().filter(|fault| fault.wipes);
        let mut wiped = wiped.filter(|fault| fault.began <= request.received);
        let is_explained = index.life(request).recalled.is_some()
            && wiped.any(|fault| within_recovery(index, fault.ended, request.sent).is_ok());
        return if is_explained { Ok(()) } else { Err(Rule::UntrueReason) };
    }
    if index.is_unprovable(request) || index.is_nothing_verifiable(request) {
        return Ok(());
    }
    let from = index.back(request, index.life(request).began());
    within_recovery(index, from, request.sent)
}

fn within_recovery(index: &HistoryIndex<'_>, back: At, sent: At) -> Result<(), Rule> {
    let by = back.plus(index.recovery());
    if sent <= by {
        Ok(())
    } else if sent <= by.plus(STILL_RECOVERING) {
        Err(Rule::SlowRecovery)
    } else {
        Err(Rule::Unexplained)
    }
}

/// Returns `Ok` if a fault explains that messages from before the token's issue may be missing.
pub(super) fn history_incomplete(index: &HistoryIndex<'_>, request: &Request) -> Result<(), Rule> {
    let history = index.history;
    let token = &history.tokens[request.token];
    let started = index.life(request).began();
    let ids_ahead = history.faults.iter().any(|f| f.ids_ahead && f.began <= request.received);
    // Returns the latest time at which a reader that reads from Redis since `from` has detected a
    // gap: Redis is back, and the recovery time is over.
    let recovered = |from| {
        let back = index.back(request, from);
        back.plus(index.recovery())
    };
    let is_denied = |from: At, again: At, pause: Duration| {
        let detected = recovered(from);
        // A process that starts later detects the gap itself, and then reads the baseline.
        let begun = recovered(from.max(again).max(started));
        // The baseline does not decide about a session that was suspended and resumed.
        let reload = history.promise.reload.filter(|_| token.resumed.is_none());
        let is_reloaded = reload.is_some_and(|by| request.sent > begun.plus(by + pause));
        token.iat <= unix_second(history.unix_start, detected.plus(history.promise.margin)) + 1
            && !is_reloaded
    };
    // In strict mode every start counts as a loss.
    let is_explained = (history.promise.strict && is_denied(started, started, Duration::ZERO))
        || history.faults.iter().filter(|fault| may_have_gap(index, request, fault)).any(|fault| {
            // With ids from the future, a reader that starts cannot exclude any loss.
            let again = if ids_ahead { started } else { index.read_on(request, fault.began) };
            let from = fault.ended.max(again);
            if fault.recuts {
                // A reader that reads the stream again finds the re-cut message again.
                is_denied(from, index.taken_over(request), RECUT_PAUSE)
            } else {
                is_denied(from, from, Duration::ZERO)
            }
        });
    if is_explained { Ok(()) } else { Err(Rule::Unexplained) }
}

fn may_have_gap(index: &HistoryIndex<'_>, request: &Request, fault: &Injected) -> bool {
    let began = fault.began;
    began <= request.received
        && match fault.gap {
            GapScope::Nobody => false,
            GapScope::Newcomers => {
                // A reader with a snapshot has not read messages that came after the snapshot.
                let life = index.life(request);
                let back = index.back(request, index.life(request).began());
                index.ready(request).is_none_or(|ready| ready > began)
                    || life.recalled.is_some_and(|recalled| {
                        recalled < began && began <= back.plus(index.recovery())
                    })
            }
            GapScope::Everyone => true,
        }
}

fn unix_second(unix_start: u64, at: At) -> i64 {
    i64::try_from(unix_start.saturating_add(at.0) / 1_000_000).unwrap_or(i64::MAX)
}
