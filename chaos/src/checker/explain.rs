//! Which refusals the injected faults explain.

use std::time::Duration;

use crate::history::{Hole, Injected, Request};
use crate::time::At;

use super::Rule;
use super::reading::Reading;

/// A reader proves the log at least so often while nothing hinders it.
const PROVEN_EVERY: Duration = Duration::from_millis(700);
/// Further beyond a recovery, a refusal has nothing to do with it.
const STILL_RECOVERING: Duration = Duration::from_secs(10);

/// Whether a fault explains that the reader's last proof is older than the bound.
pub(super) fn stale(reading: &Reading<'_>, request: &Request) -> Result<(), Rule> {
    let bound = reading.history.promise.bound;
    let from = request.received.minus(bound + PROVEN_EVERY);
    let late = reading.lateness.allowance(from, request.received);
    // A machine that runs nothing for so long is a fault of its own.
    if late + PROVEN_EVERY >= bound {
        return Ok(());
    }
    let Some(window) = reading.windows(request).last_before(request.received) else {
        return Err(Rule::Unexplained);
    };
    if request.received.since(window.began) + PROVEN_EVERY + late < bound {
        return Err(Rule::Unexplained);
    }
    within_recovery(reading, window.ended, request.sent)
}

/// Whether a fault explains that the reader has not read the history yet.
pub(super) fn not_ready(reading: &Reading<'_>, request: &Request) -> Result<(), Rule> {
    if reading.ready(request).is_some_and(|ready| ready < request.sent) {
        return Err(Rule::UntrueReason);
    }
    let started = reading.life(request).started;
    let from = match reading.windows(request).last_before(started.plus(reading.recovery(started))) {
        Some(window) => started.max(window.ended),
        None => started,
    };
    // A fault that began while it was still recovering from the last one.
    let from = match reading.windows(request).last_before(from.plus(reading.recovery(from))) {
        Some(window) => from.max(window.ended),
        None => from,
    };
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
    let started = reading.life(request).started;
    let ids_ahead = history.faults.iter().any(|f| f.ids_ahead && f.began <= request.received);
    let is_explained =
        history.faults.iter().filter(|fault| may_have_hole(reading, request, fault)).any(|fault| {
            let mut noticed = fault.ended;
            // Readers out of the fault's own scope notice as soon as they look.
            for window in reading.windows(request).iter() {
                if window.began <= noticed.plus(reading.recovery(noticed)) {
                    noticed = noticed.max(window.ended);
                }
            }
            // Ids from the future make a reader that starts think that anything is missing, and
            // so does, in strict mode, a stream that is younger than that.
            if ids_ahead || history.promise.strict {
                noticed = noticed.max(started);
            }
            let upto = noticed.plus(reading.recovery(noticed) + history.promise.margin);
            iat <= unix_second(history.unix_start, upto) + 1
        });
    if is_explained { Ok(()) } else { Err(Rule::Unexplained) }
}

fn may_have_hole(reading: &Reading<'_>, request: &Request, fault: &Injected) -> bool {
    let began = fault.began;
    began <= request.received
        && match fault.hole {
            Hole::Nobody => false,
            Hole::Newcomers => reading.ready(request).is_none_or(|ready| ready > began),
            Hole::Everyone => true,
        }
}

fn unix_second(unix_start: u64, at: At) -> i64 {
    i64::try_from(unix_start.saturating_add(at.0) / 1_000_000).unwrap_or(i64::MAX)
}
