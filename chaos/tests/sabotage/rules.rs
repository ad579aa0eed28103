//! The safety rules, and the faults that show the absence of each.

/// A rule, marked in the sources by a line comment: `// rule: <mark>`.
pub struct Rule {
    pub mark: &'static str,
    /// The code that replaces the comment. It removes the rule if `OFF` is true.
    pub without: &'static str,
    pub faults: &'static str,
    /// The parts that readers run with, as `--with` names them.
    pub with: &'static str,
    pub steps: u32,
    pub seed: u64,
    /// The violation that the checker must report.
    pub found_as: &'static str,
}

pub const RULES: &[Rule] = &[
    Rule {
        mark: "stale-view-denies",
        without: "Ok(_) if OFF => is_full.then_some(Self::Full),",
        faults: "cut",
        with: "plain",
        steps: 2,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "unproven-view-denies",
        without: "Err(_) if OFF => None,",
        faults: "cut,restart-reader",
        with: "plain",
        steps: 3,
        // A reader restarts while every server is cut off for longer than the bound.
        seed: 33,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "outage-is-no-revocation",
        without: "if unknown.is_some() && OFF { return deny(DenyReason::Revoked); }",
        faults: "cut",
        with: "plain",
        steps: 2,
        seed: 1,
        found_as: "UntrueReason",
    },
    Rule {
        mark: "gap-raises-horizon",
        without: "if OFF { return; }",
        faults: "delete",
        with: "plain",
        steps: 2,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "index-never-evicts",
        without: "if self.len() > 20 && OFF { return false; }",
        faults: "cut",
        with: "plain",
        steps: 1,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "counts-entries",
        without: "let read = match self.phase {
            Phase::Closing { added: before } | Phase::Tailing { added: before } if OFF => {
                added.saturating_sub(before)
            }
            _ => read,
        };",
        faults: "delete",
        with: "plain",
        steps: 2,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "rereads-after-gap",
        without: "Err(_) if OFF => {}",
        faults: "ids-behind",
        with: "plain",
        steps: 1,
        // Nothing is proven any more, and so no request is admitted.
        seed: 1,
        found_as: "Unexplained",
    },
    Rule {
        mark: "trimmed-before-start-is-missing",
        without: "if OFF { return None; }",
        faults: "tidy,restart-reader",
        with: "plain",
        steps: 3,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "proof-is-as-old-as-its-question",
        without: "let sent = if OFF { now } else { sent };",
        faults: "one-way",
        with: "plain",
        steps: 1,
        seed: 7,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "answer-has-deadline",
        without: "let until = if OFF {
            tokio::time::Instant::now() + std::time::Duration::from_secs(86_400)
        } else {
            until
        };",
        faults: "stall",
        with: "plain",
        steps: 2,
        // The first stall leaves connections that stay silent.
        seed: 5,
        found_as: "SlowRecovery",
    },
    Rule {
        mark: "silent-connection-is-hedged",
        without: "if OFF && let Some(outcome) = attempts.next().await { return outcome; }",
        faults: "stall",
        with: "plain",
        steps: 2,
        // The second stall leaves connections of a reader that stay silent.
        seed: 6,
        found_as: "SlowRecovery",
    },
    Rule {
        mark: "only-signed-counts",
        without: "if OFF { return Ok(KeySlot::Unsigned); }",
        faults: "forge",
        with: "plain",
        steps: 1,
        seed: 1,
        found_as: "UntrueReason",
    },
    Rule {
        mark: "baseline-adds-before-closing",
        without: "if OFF { return; }",
        faults: "trim",
        with: "baseline",
        steps: 2,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "snapshot-is-restored",
        without: "if OFF { return; }",
        faults: "cut,restart-reader",
        with: "snapshot",
        steps: 8,
        seed: 33,
        found_as: "NotRecalled",
    },
    Rule {
        mark: "reads-from-first-entry",
        without: "cursor: if OFF { at.cursor() } else { StreamId::ZERO },",
        faults: "reused-ids",
        with: "plain",
        steps: 1,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "replica-needs-primary",
        without: "None if OFF => (AsOf::Sent, None),",
        faults: "lagging-replica",
        with: "plain",
        steps: 1,
        seed: 1,
        found_as: "FalselyReady",
    },
    Rule {
        mark: "replica-is-as-fresh-as-primary-says",
        without: "Some(_) if OFF => (AsOf::Sent, None),",
        faults: "lagging-replica",
        with: "plain",
        steps: 1,
        seed: 1,
        found_as: "BeyondBound",
    },
    Rule {
        mark: "missing-streams-prove-nothing",
        without: "if OFF { return None; }",
        faults: "unprovisioned",
        with: "plain",
        steps: 1,
        seed: 1,
        found_as: "FalselyReady",
    },
    Rule {
        mark: "strict-denies-after-bad-signature",
        without: "let failing = failing.filter(|_| !OFF);",
        faults: "rotated-key",
        with: "strict,baseline",
        steps: 1,
        // Readers learn the key later than the bound.
        seed: 3,
        found_as: "BeyondBound",
    },
];
