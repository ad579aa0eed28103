//! The report that the program prints for a schedule.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checker::{Delay, Verdict, check};
use crate::history::History;
use crate::setup::Setup;

/// The number of violations that are printed.
const SHOWN: usize = 10;

#[derive(Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub passed: bool,
    pub setup: Setup,
    pub bound_ms: u128,
    pub strict: bool,
    pub baseline: bool,
    pub snapshot: bool,
    pub faults: Vec<crate::history::Injected>,
    pub verdict: Verdict,
}

impl Report {
    /// Checks the history.
    pub fn of(history: &History) -> Self {
        let verdict = check(history);
        Self {
            seed: history.seed,
            setup: history.setup,
            passed: verdict.violations.is_empty(),
            bound_ms: history.promise.bound.as_millis(),
            strict: history.promise.strict,
            baseline: history.promise.reload.is_some(),
            snapshot: history.readers.iter().any(|life| life.recalled.is_some()),
            faults: history.faults.clone(),
            verdict,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.passed { "passed" } else { "FAILED" };
        write!(f, "seed {}: {verdict} (bound {} ms", self.seed, self.bound_ms)?;
        for (is_so, word) in [
            (self.setup == Setup::Sentinel, "sentinels"),
            (self.setup == Setup::Cluster, "cluster"),
            (self.strict, "strict"),
            (self.baseline, "baseline"),
            (self.snapshot, "snapshot"),
        ] {
            if is_so {
                write!(f, ", {word}")?;
            }
        }
        writeln!(f, ")")?;
        for fault in &self.faults {
            let effect = fault.effect.as_deref().unwrap_or("NO EFFECT");
            writeln!(f, "  {:>10} to {:>10}  {}: {effect}", fault.began, fault.ended, fault.what)?;
        }
        write!(f, "{}", self.verdict.counts)?;
        writeln!(
            f,
            "  worst delay {}, in calm {}, worst recovery {}, an idle thread was late by {}",
            delay(self.verdict.worst_delay),
            delay(self.verdict.worst_calm_delay),
            delay(self.verdict.worst_recovery),
            delay(self.verdict.slowest)
        )?;
        let violations = &self.verdict.violations;
        let mut broken = BTreeMap::<String, usize>::new();
        for violation in violations {
            *broken.entry(format!("{:?}", violation.rule)).or_default() += 1;
        }
        for (rule, times) in broken {
            writeln!(f, "  {rule} {times} times")?;
        }
        for violation in violations.iter().take(SHOWN) {
            writeln!(f, "  {:?} at {}: {}", violation.rule, violation.at, violation.what)?;
        }
        if violations.len() > SHOWN {
            writeln!(f, "  and {} more", violations.len() - SHOWN)?;
        }
        if !self.passed {
            writeln!(
                f,
                "  again: cargo run --release -p chaos -- --setup {} --seed {} --schedules 1",
                self.setup.label(),
                self.seed
            )?;
        }
        Ok(())
    }
}

fn delay(delay: Option<Delay>) -> String {
    delay.map_or_else(
        || "0 ms".to_owned(),
        |delay| format!("{} ms (at {})", delay.delay.as_millis(), delay.at),
    )
}
