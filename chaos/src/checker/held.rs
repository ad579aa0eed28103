//! Checks that a running response ends once it would be denied.

use std::time::Duration;

use crate::history::{Answer, Held, Request, Route};
use crate::time::At;

use super::history_index::{CALM_DELAY, HistoryIndex};
use super::{Rule, Violation, explain};

/// A reader may reach Redis this long before the end of the fault is seen.
const SEEN_WITHIN: Duration = Duration::from_millis(500);
/// The longest time from a decision to cut a response to its last part.
const CUT_WITHIN: Duration = Duration::from_millis(250);

pub(super) fn check(index: &HistoryIndex<'_>, violations: &mut Vec<Violation>) {
    for held in &index.history.held {
        let broken = revoked(index, held)
            .and_then(|()| stale(index, held))
            .and_then(|()| ended(index, held));
        if let Err(rule) = broken {
            violations.push(violation(index, rule, held));
        }
    }
}

/// Checks that the response ended in time if its token was revoked.
fn revoked(index: &HistoryIndex<'_>, held: &Held) -> Result<(), Rule> {
    let last = request(held, held.last, Answer::Admitted);
    let Some(revocation) = index.revocation(&last) else { return Ok(()) };
    let Some(acked) = revocation.acked else { return Ok(()) };
    if index.is_excused(revocation, &last) {
        return Ok(());
    }
    let is_calm = index.is_calm(&last, acked) && index.can_verify(&last, revocation);
    let within = if is_calm { CALM_DELAY } else { index.history.promise.bound + CUT_WITHIN };
    // A process that was stopped cuts the response when it runs again.
    let stopped = index.history.faults.iter().filter(|fault| {
        let reader = index.history.readers[held.life].reader;
        fault.suspends && fault.scope.includes(reader) && fault.began <= held.last
    });
    let run = stopped.map(|fault| fault.ended.plus(CUT_WITHIN)).max().unwrap_or_default();
    if held.last > acked.plus(within).max(run) { Err(Rule::HeldTooLong) } else { Ok(()) }
}

/// Checks that the response ended when the view became older than the bound.
fn stale(index: &HistoryIndex<'_>, held: &Held) -> Result<(), Rule> {
    let bound = index.history.promise.bound;
    let life = &index.history.readers[held.life];
    let severed = index.history.faults.iter().filter(|fault| {
        fault.severs && fault.scope.includes(life.reader) && fault.began >= held.sent
    });
    let mut too_long = severed.filter(|fault| {
        let by = fault.began.plus(bound + CUT_WITHIN);
        by.plus(SEEN_WITHIN) < fault.ended && by < held.last
    });
    if too_long.next().is_some() { Err(Rule::HeldTooLong) } else { Ok(()) }
}

/// Checks that a response that the reader ended would have been denied.
fn ended(index: &HistoryIndex<'_>, held: &Held) -> Result<(), Rule> {
    let Some(at) = held.ended else { return Ok(()) };
    let at_end = |answer| request(held, at, answer);
    let is_revoked = index
        .revocation(&at_end(Answer::Revoked))
        .is_some_and(|revocation| revocation.attempted <= at);
    let is_suspended = index.history.tokens[held.token].resumed.is_some();
    let is_explained = is_revoked
        || is_suspended
        || index.is_stopped(&at_end(Answer::None))
        || explain::stale(index, &at_end(Answer::Stale)).is_ok()
        || explain::history_incomplete(index, &at_end(Answer::HistoryIncomplete)).is_ok();
    if is_explained { Ok(()) } else { Err(Rule::Unexplained) }
}

/// Returns a request about the token at this time.
fn request(held: &Held, at: At, answer: Answer) -> Request {
    let (life, token) = (held.life, held.token);
    Request { life, route: Route::Gateway, token, sent: at, received: at, answer }
}

fn violation(index: &HistoryIndex<'_>, rule: Rule, held: &Held) -> Violation {
    let life = &index.history.readers[held.life];
    let ended = held.ended.map_or_else(|| "not ended".to_owned(), |at| format!("ended {at}"));
    let mut what = format!(
        "reader {} (pid {}, since {}) held a response to token {}, sent {}, last part {}, {ended}",
        life.reader, life.pid, life.started, held.token, held.sent, held.last
    );
    let last = request(held, held.last, Answer::Admitted);
    if let Some(acked) = index.revocation(&last).and_then(|revocation| revocation.acked) {
        what.push_str(&format!("; revocation acknowledged {acked}"));
    }
    Violation { rule, at: held.last, what }
}
