//! The safety rules, where they stand, and the faults that show that one is gone.

/// One rule, and how it is removed while the variable names it.
pub struct Rule {
    pub name: &'static str,
    pub file: &'static str,
    /// The text that is the rule, once in its file.
    pub stands: &'static str,
    /// The same, where `OFF` is true if the rule is to be left out.
    pub removable: &'static str,
    pub faults: &'static str,
    pub steps: u32,
    pub seed: u64,
    /// How the checker must name what it finds.
    pub found_as: &'static str,
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "a view older than the bound admits nobody",
        file: "crates/state/src/verdict.rs",
        stands: "Ok(staleness) if staleness > facts.bound =>",
        removable: "Ok(staleness) if staleness > facts.bound && !OFF =>",
        faults: "cut",
        steps: 2,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        name: "a view that was never proven admits nobody",
        file: "crates/state/src/verdict.rs",
        stands: "Err(why) => (Duration::MAX,",
        removable: "Err(_) if OFF => (Duration::ZERO, None), Err(why) => (Duration::MAX,",
        faults: "cut,restart-reader",
        steps: 3,
        // A reader restarts while everybody is cut off for longer than the bound.
        seed: 33,
        found_as: "BeyondBound",
    },
    Rule {
        name: "an outage is not called a revocation",
        file: "crates/state/src/verdict.rs",
        stands: "if let Some(unknown) = unknown.filter(|_| !facts.fail_open) {",
        removable: "if unknown.is_some() && OFF { return refuse(Reason::Revoked, None); }
            if let Some(unknown) = unknown.filter(|_| !facts.fail_open) {",
        faults: "cut",
        steps: 2,
        seed: 1,
        found_as: "UntrueReason",
    },
    Rule {
        name: "tokens from before a hole are refused",
        file: "crates/state/src/revocations.rs",
        stands: "pub fn raise_horizon(&self, second: i64) {",
        removable: "pub fn raise_horizon(&self, second: i64) { if OFF { return; }",
        faults: "delete",
        steps: 2,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        name: "an entry leaves the index when it expires and for no other reason",
        file: "crates/state/src/index.rs",
        stands: "pub(crate) fn revoke(&self, id: &str, expires: u32) -> bool {",
        removable: "pub(crate) fn revoke(&self, id: &str, expires: u32) -> bool {
            if self.len() > 20 && OFF { return false; }",
        faults: "cut",
        steps: 1,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        name: "entries read are entries added",
        file: "crates/stream/src/proof.rs",
        stands: "if Some(read) != added.checked_sub(before) =>",
        removable: "if Some(read) != added.checked_sub(before) && !OFF =>",
        faults: "delete",
        steps: 2,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        name: "a stream in which a hole was found is read again",
        file: "crates/stream/src/fold.rs",
        stands: "Err(hole) => track.broken = Some(hole),",
        removable: "Err(_) if OFF => {} Err(hole) => track.broken = Some(hole),",
        faults: "ids-behind",
        steps: 1,
        seed: 1,
        // Nothing is proven any more, and so nobody admitted.
        found_as: "Unexplained",
    },
    Rule {
        name: "what was trimmed before the start is missing",
        file: "crates/stream/src/proof.rs",
        stands: "fn missing_from_window(&self, counters: &Counters) -> Option<Duration> {",
        removable: "fn missing_from_window(&self, counters: &Counters) -> Option<Duration> {
            if OFF { return None; }",
        faults: "tidy,restart-reader",
        steps: 3,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        name: "a proof is as old as its question",
        file: "crates/stream/src/fold.rs",
        stands: "let server_time = reading.server_time;",
        removable: "let server_time = reading.server_time;
            let sent = if OFF { now } else { sent };",
        faults: "one-way",
        steps: 1,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        name: "an answer has a deadline",
        file: "crates/stream/src/connection.rs",
        stands: "tokio::time::timeout(deadline, answer)",
        removable: "tokio::time::timeout(if OFF { Duration::MAX } else { deadline }, answer)",
        faults: "stall",
        steps: 2,
        // The first stall leaves connections that stay silent.
        seed: 5,
        found_as: "SlowRecovery",
    },
    Rule {
        name: "a connection that is silent while it opens is not waited for alone",
        file: "crates/stream/src/patience.rs",
        stands: "timeout(SHORTEST, attempts.next())",
        removable: "timeout(if OFF { Duration::MAX } else { SHORTEST }, attempts.next())",
        faults: "stall",
        steps: 2,
        seed: 5,
        found_as: "SlowRecovery",
    },
    Rule {
        name: "only what is signed counts",
        file: "crates/event/src/key.rs",
        stands: "if self.keys.is_empty() {\n            return Ok(KeySlot::Unsigned);",
        removable: "if self.keys.is_empty() || OFF {\n            return Ok(KeySlot::Unsigned);",
        faults: "forge",
        steps: 1,
        seed: 1,
        found_as: "UntrueReason",
    },
];
