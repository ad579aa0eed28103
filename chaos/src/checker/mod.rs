//! The verdict on a history: a pure function of the record.
//!
//! A request counts from the time it was *sent*, which is before its decision. A revocation counts
//! from the time its acknowledgement was *seen*, which is after its publication. So the bound holds
//! on a slow machine too. The other time limits do not, and a schedule on a machine that is too slow
//! for them fails ([`lateness`]).

mod delays;
mod explain;
mod held;
mod history_index;
mod lateness;
mod losses;
mod rules;
#[cfg(test)]
mod tests;
mod windows;

use std::time::Duration;

use serde::Serialize;

use crate::history::History;
use crate::time::At;

use history_index::HistoryIndex;

/// The result of checking one history.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub counts: Counts,
    /// The longest time from the acknowledgement of a revocation to the last admission despite it.
    pub worst_delay: Option<Delay>,
    /// The worst delay without readers that were cut off from Redis or had just reconnected.
    pub worst_calm_delay: Option<Delay>,
    /// The longest time from Redis being back to the last denial with an unknown verdict.
    pub worst_recovery: Option<Delay>,
    /// The largest delay of an idle thread, added up over two seconds.
    pub slowest: Option<Delay>,
    pub violations: Vec<Violation>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Delay {
    pub at: At,
    pub delay: Duration,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    pub faults: usize,
    pub effective_faults: usize,
    pub revocations: usize,
    pub lost_by_server: usize,
    pub wiped: usize,
    pub removed: usize,
    pub requests: usize,
    pub admitted: usize,
    pub revoked: usize,
    pub history_incomplete: usize,
    pub unavailable: usize,
    pub unanswered: usize,
    /// The number of responses that clients held open, and of those that a reader ended.
    pub held: usize,
    pub cut: usize,
    /// The number of requests admitted although revoked, which is excused: the server had lost the
    /// message.
    pub excused: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (sum, more) in [
            (&mut self.faults, other.faults),
            (&mut self.effective_faults, other.effective_faults),
            (&mut self.revocations, other.revocations),
            (&mut self.lost_by_server, other.lost_by_server),
            (&mut self.wiped, other.wiped),
            (&mut self.removed, other.removed),
            (&mut self.requests, other.requests),
            (&mut self.admitted, other.admitted),
            (&mut self.revoked, other.revoked),
            (&mut self.history_incomplete, other.history_incomplete),
            (&mut self.unavailable, other.unavailable),
            (&mut self.unanswered, other.unanswered),
            (&mut self.held, other.held),
            (&mut self.cut, other.cut),
            (&mut self.excused, other.excused),
        ] {
            *sum += more;
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "  {} faults ({} effective); {} revocations ({} lost by the server, {} wiped, {} \
             removed)",
            self.faults,
            self.effective_faults,
            self.revocations,
            self.lost_by_server,
            self.wiped,
            self.removed
        )?;
        writeln!(
            f,
            "  {} requests: {} admitted ({} excused), {} revoked, {} history incomplete, {} \
             unavailable, {} unanswered; {} responses held open, {} ended by readers",
            self.requests,
            self.admitted,
            self.excused,
            self.revoked,
            self.history_incomplete,
            self.unavailable,
            self.unanswered,
            self.held,
            self.cut
        )
    }
}

/// A broken promise, and the event that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub rule: Rule,
    pub at: At,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Rule {
    /// A token was admitted although its revocation was published longer ago than the bound.
    BeyondBound,
    /// A revoked token was admitted although the reader had had time to recover.
    MissingAfterRecovery,
    /// A process admitted a token that it had already denied as revoked.
    Forgotten,
    /// A process with a snapshot did not deny a token that the previous process had denied as
    /// revoked.
    NotRecalled,
    /// A token was denied as revoked although it was never revoked.
    UntrueReason,
    /// A denial that no fault explains.
    Unexplained,
    /// A request was denied with an unknown verdict although Redis was back.
    SlowRecovery,
    /// A process without any proof of its view admitted a request, or was ready.
    FalselyReady,
    /// A probe reported ready while requests were answered 503.
    ReadinessDiffers,
    /// A reader ended by itself.
    ReaderDied,
    /// A reader that nothing hindered admitted a token that was revoked some time ago.
    LateInCalm,
    /// A process that ran did not answer, or answered late.
    Unanswered,
    /// A request with two tokens was admitted.
    TwoHeaders,
    /// A running response was not cut once its token was revoked, or its reader's view stale.
    HeldTooLong,
    /// The schedule had too little in it to show anything.
    TooLittle,
    /// The machine was too slow for the time limits of the rules.
    TooSlow,
}

impl Rule {
    /// Returns `true` if a slow machine cannot be the reason that the rule is broken.
    const fn holds_on_slow_machine(self) -> bool {
        matches!(
            self,
            Self::BeyondBound
                | Self::Forgotten
                | Self::FalselyReady
                | Self::TwoHeaders
                | Self::ReaderDied
                | Self::TooSlow
        )
    }
}

impl Verdict {
    /// Returns `true` if a slow machine may be the only reason for the broken rules.
    pub fn may_be_slowness(&self) -> bool {
        let mut rules = self.violations.iter().map(|violation| violation.rule);
        rules.all(|rule| rule == Rule::TooSlow || !rule.holds_on_slow_machine())
    }
}

/// Checks a history. If the machine was too slow, only the rules without a time limit count.
pub fn check(history: &History) -> Verdict {
    let index = HistoryIndex::of(history);
    let mut violations = rules::all(&index);
    if violations.iter().any(|violation| violation.rule == Rule::TooSlow) {
        violations.retain(|violation| violation.rule.holds_on_slow_machine());
    }
    violations.sort_by_key(|violation| violation.at);
    Verdict {
        counts: delays::counts(&index),
        worst_delay: delays::worst(&index, false),
        worst_calm_delay: delays::worst(&index, true),
        worst_recovery: delays::worst_recovery(&index),
        slowest: lateness::slowest(&history.lateness)
            .map(|slowest| Delay { at: slowest.at, delay: slowest.by }),
        violations,
    }
}
