//! The verdict on a history: a pure function of what was recorded.
//!
//! Every rule is sound on a slow machine. A request counts from when it was *sent*, which is
//! before it was decided; a revocation from when its acknowledgement was *seen*, which is after
//! it was published. Where a rule does speak of how fast something must be, what the machine kept
//! threads waiting meanwhile is added ([`lateness`]).

mod delays;
mod explain;
mod lateness;
mod reading;
mod rules;
#[cfg(test)]
mod tests;
mod windows;

use std::time::Duration;

use serde::Serialize;

use crate::history::History;
use crate::time::At;

use reading::Reading;

/// What the checker says of one history.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub counts: Counts,
    /// From the acknowledgement of a revocation to the last time that it was not heeded.
    pub worst_delay: Option<Delay>,
    /// The same, leaving out readers that were cut off from Redis or had just come back to it.
    pub worst_calm_delay: Option<Delay>,
    /// From Redis being back to the last denial for want of knowledge.
    pub worst_recovery: Option<Delay>,
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
    /// Admitted although revoked, since the server had lost the message.
    pub excused: usize,
}

/// A promise that was not kept, and the event that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub rule: Rule,
    pub at: At,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Rule {
    /// Admitted on a token whose revocation was published longer ago than the bound.
    BeyondBound,
    /// Admitted on a revoked token although the reader had had time to recover.
    MissingAfterRecovery,
    /// Admitted by a process that had already refused it as revoked.
    Forgotten,
    /// Not refused as revoked by a process that began with what one before it had refused.
    NotRecalled,
    /// Refused as revoked, and nobody had revoked it.
    UntrueReason,
    /// A denial that no fault explains.
    Unexplained,
    /// Still refusing for want of knowledge although Redis was back.
    SlowRecovery,
    /// Admitted, or called ready, by a process that had nothing to prove its view by.
    FalselyReady,
    /// Called ready while requests were answered 503.
    ReadinessDiffers,
    /// A reader ended by itself.
    ReaderDied,
    /// The schedule had too little in it to show anything.
    TooLittle,
}

/// Judges a history.
pub fn check(history: &History) -> Verdict {
    let reading = Reading::of(history);
    let mut violations = rules::all(&reading);
    violations.sort_by_key(|violation| violation.at);
    Verdict {
        counts: delays::counts(&reading),
        worst_delay: delays::worst(&reading, false),
        worst_calm_delay: delays::worst(&reading, true),
        worst_recovery: delays::worst_recovery(&reading),
        violations,
    }
}
