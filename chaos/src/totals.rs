//! The sums over all schedules of a run.

use std::time::Duration;

use crate::checker::{Counts, Delay, Rule};
use crate::report::Report;

#[derive(Debug, Default)]
pub struct Totals {
    passed: usize,
    /// The seeds of schedules that broke a promise, or in which the harness itself failed.
    failed: Vec<u64>,
    /// The seeds of schedules that failed only because the machine was too slow.
    too_slow: Vec<u64>,
    counts: Counts,
    worst_delay: Duration,
    worst_calm_delay: Duration,
    worst_recovery: Duration,
}

impl Totals {
    pub fn add(&mut self, report: &Report) {
        let verdict = &report.verdict;
        if report.passed {
            self.passed += 1;
        } else if verdict.violations.iter().all(|violation| violation.rule == Rule::TooSlow) {
            self.too_slow.push(report.seed);
            // It shows nothing, so it does not count.
            return;
        } else {
            self.failed.push(report.seed);
        }
        self.counts += verdict.counts;
        let longest = |so_far: Duration, delay: Option<Delay>| {
            so_far.max(delay.map(|delay| delay.delay).unwrap_or_default())
        };
        self.worst_delay = longest(self.worst_delay, verdict.worst_delay);
        self.worst_calm_delay = longest(self.worst_calm_delay, verdict.worst_calm_delay);
        self.worst_recovery = longest(self.worst_recovery, verdict.worst_recovery);
    }

    /// Records a schedule in which the harness itself failed.
    pub fn failed(&mut self, seed: u64) {
        self.failed.push(seed);
    }

    pub fn passed(&self) -> bool {
        self.failed.is_empty() && self.too_slow.is_empty()
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.passed + self.failed.len() + self.too_slow.len();
        writeln!(f, "{} of {all} schedules passed", self.passed)?;
        write!(f, "{}", self.counts)?;
        write!(
            f,
            "  worst delay {} ms, in calm {} ms, worst recovery {} ms",
            self.worst_delay.as_millis(),
            self.worst_calm_delay.as_millis(),
            self.worst_recovery.as_millis()
        )?;
        if !self.failed.is_empty() {
            write!(f, "\nfailed seeds: {:?}", sorted(&self.failed))?;
        }
        if !self.too_slow.is_empty() {
            write!(f, "\nmachine too slow: run fewer jobs; seeds: {:?}", sorted(&self.too_slow))?;
        }
        Ok(())
    }
}

fn sorted(seeds: &[u64]) -> Vec<u64> {
    let mut seeds = seeds.to_vec();
    seeds.sort_unstable();
    seeds
}
