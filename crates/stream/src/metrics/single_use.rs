//! The counters of the record of used mandates.

use caracal_revocation_state::UseOutcome;
use metrics::{Counter, counter};

use super::names;

/// Counts the answers of the record.
#[derive(Clone)]
pub(crate) struct UseCounters {
    first: Counter,
    replayed: Counter,
    unknown: Counter,
}

impl UseCounters {
    pub(crate) fn register() -> Self {
        names::describe_uses();
        let counter = |outcome| counter!(names::USES, "outcome" => outcome);
        Self { first: counter("first"), replayed: counter("replayed"), unknown: counter("unknown") }
    }

    /// Counts an answer. `None` is an error.
    pub(crate) fn count(&self, outcome: Option<UseOutcome>) {
        match outcome {
            Some(UseOutcome::First) => self.first.increment(1),
            Some(UseOutcome::Replayed) => self.replayed.increment(1),
            None => self.unknown.increment(1),
        }
    }
}
