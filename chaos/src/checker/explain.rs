//! Which refusals the injected faults explain.

use std::time::Duration;

use crate::history::{Hole, Injected, Request};
use crate::time::At;

use super::Rule;
use super::reading::Reading;

/// A reader proves the log at least so often while nothing hinders it.
const PROVEN_EVERY: Duration = Duration::from_millis(700);
/// Readers estimate the server's clock, and so when a message was published.
const CLOCK_ERROR: Duration = Duration::from_millis(300);
/// A message that no accepted key has signed counts for so long after it, in strict mode.
const ALARMED: Duration = Duration::from_secs(60);
/// Further beyond a recovery, a denial has nothing to do with it.
const STILL_RECOVERING: Duration = Duration::from_secs(10);

/// Whether a fault explains that the reader's last proof is older than the bound.
pub(super) fn stale(reading: &Reading<'_>, request: &Request) -> Result<(), Rule> {
    let bound = reading.history.promise.bound;
    let proven_every = proven_every(reading, request);
    let from = request.received.minus(bound + proven_every);
    let late = reading.lateness.allowance(from, request.received);
    // The last proof may be one of the process before.
    let life = reading.life(request);
    if reading.is_unprovable(request) || signatures_fail(reading, request) {
        return Ok(());
    }
    let back = reading.back(request, life.started);
    if life.recalled.is_some() && request.sent <= back.plus(reading.recovery(back)) {
        return Ok(());
    }
    // A machine that runs nothing for so long is a fault of its own.
    if late + proven_every >= bound {
        return Ok(());
    }
    let Some(window) = reading.windows(request).last_before(request.received) else {
        return Err(Rule::Unexplained);
    };
    if request.received.since(window.began) + proven_every + late < bound {
        return Err(Rule::Unexplained);
    }
    within_recovery(reading, window.ended, request.sent)
}

/// How often the reader proves the log while nothing hinders it: counters whose answers are large are
/// asked for at least three times in the bound.
fn proven_every(reading: &Reading<'_>, request: &Request) -> Duration {
    let mut faults = reading.history.faults.iter();
    if faults.any(|fault| fault.enlarges && fault.began <= request.received) {
        PROVEN_EVERY + reading.history.promise.bound / 3
    } else {
        PROVEN_EVERY
    }
}

/// In strict mode the view is no fresher than the first message that no accepted key has signed.
pub(super) fn signatures_fail(reading: &Reading<'_>, request: &Request) -> bool {
    let bound = reading.history.promise.bound;
    let by = request.received.minus(bound.saturating_sub(CLOCK_ERROR));
    let is_forged = |fault: &Injected| {
        let until = fault.ended.plus(ALARMED);
        fault.forges && fault.began <= by && request.sent <= until.plus(reading.recovery(until))
    };
    reading.history.promise.strict
        && (reading.fails_verification(request, by) || reading.history.faults.iter().any(is_forged))
}

/// Whether a fault explains that the reader has not read the history yet.
pub(super) fn not_ready(reading: &Reading<'_>, request: &Request) -> Result<(), Rule> {
    if reading.ready(request).is_some_and(|ready| ready < request.sent) {
        // What its snapshot says makes a process ready, and streams that are gone make it unready.
        let wiped = reading.history.faults.iter().filter(|fault| fault.wipes);
        let mut wiped = wiped.filter(|fault| fault.began <= request.received);
        let is_explained = reading.life(request).recalled.is_some()
            && wiped.any(|fault| within_recovery(reading, fault.ended, request.sent).is_ok());
        return if is_explained { Ok(()) } else { Err(Rule::UntrueReason) };
    }
    if reading.is_unprovable(request) || reading.is_nothing_verifiable(request) {
        return Ok(());
    }
    let from = reading.back(request, reading.began(request));
    within_recovery(reading, from, request.sent)
}

fn within_recovery(reading: &Reading<'_>, back: At, sent: At) -> Result<(), Rule> {
    let by = back.plus(reading.recovery(back));
    if sent <= by {
        Ok(())
    } else if sent <= by.plus(STILL_RECOVERING) {
        Err(Rule::SlowRecovery)
    } else {
        Err(Rule::Unexplained)
    }
}

/// Whether a fault explains that messages from before the token was made may be missing.
pub(super) fn history_incomplete(reading: &Reading<'_>, request: &Request) -> Result<(), Rule> {
    let history = reading.history;
    let iat = history.tokens[request.token].iat;
    let started = reading.began(request);
    let ids_ahead = history.faults.iter().any(|f| f.ids_ahead && f.began <= request.received);
    // Whether this is refused for what was noticed, at the latest, when Redis was back for who has to
    // read from it from then on.
    let recovered = |from| {
        let back = reading.back(request, from);
        back.plus(reading.recovery(back))
    };
    let is_refused = |from: At| {
        let noticed = recovered(from);
        // A process that begins later finds it out anew, and asks the second source then.
        let begun = recovered(from.max(started));
        let is_told = history.promise.reload.is_some_and(|by| request.sent > begun.plus(by));
        iat <= unix_second(history.unix_start, noticed.plus(history.promise.margin)) + 1 && !is_told
    };
    // In strict mode every start is a loss.
    let is_explained = (history.promise.strict && is_refused(started))
        || history.faults.iter().filter(|fault| may_have_hole(reading, request, fault)).any(
            |fault| {
                // Ids from the future make a reader that starts think that anything is missing.
                let again = if ids_ahead { started } else { reading.read_on(request, fault.began) };
                is_refused(fault.ended.max(again))
            },
        );
    if is_explained { Ok(()) } else { Err(Rule::Unexplained) }
}

fn may_have_hole(reading: &Reading<'_>, request: &Request, fault: &Injected) -> bool {
    let began = fault.began;
    began <= request.received
        && match fault.hole {
            Hole::Nobody => false,
            Hole::Newcomers => {
                // One that reads on where another stood has not read what came since.
                let life = reading.life(request);
                let back = reading.back(request, reading.began(request));
                reading.ready(request).is_none_or(|ready| ready > began)
                    || life.recalled.is_some_and(|recalled| {
                        recalled < began && began <= back.plus(reading.recovery(back))
                    })
            }
            Hole::Everyone => true,
        }
}

fn unix_second(unix_start: u64, at: At) -> i64 {
    i64::try_from(unix_start.saturating_add(at.0) / 1_000_000).unwrap_or(i64::MAX)
}
