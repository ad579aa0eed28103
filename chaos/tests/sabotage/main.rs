//! Checks that fault injection can fail: it must detect the absence of each safety rule.
//!
//! The test builds a copy of the crates in which an environment variable removes a rule. The copy
//! has its own target folder, so it cannot affect a build of the real crates.

mod copy;
mod marks;
mod rules;

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rules::{RULES, Rule};

/// The environment variable with the rule that the copy omits.
const WITHOUT: &str = "CHAOS_WITHOUT";
/// The number of schedules in which the absence of a rule must be detected. The exact time of a
/// fault depends on the machine.
const ATTEMPTS: u64 = 3;

/// The number of schedules that run at the same time. With more, the machine delays them, and the
/// checker excuses the delays.
const AT_ONCE: usize = 6;

#[test]
fn without_any_one_of_the_safety_rules_a_schedule_fails() {
    let program = copy::build();
    let next = AtomicUsize::new(0);
    let run = || {
        let rules = std::iter::from_fn(|| RULES.get(next.fetch_add(1, Ordering::Relaxed)));
        rules.filter_map(|rule| is_detected(&program, rule).err()).collect::<Vec<_>>()
    };
    let missed: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(run)).collect();
        runs.into_iter().flat_map(|run| run.join().expect("no run panics")).collect()
    });
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

#[test]
fn every_rule_has_one_mark_in_the_sources() {
    let mut found = marks::in_sources();
    assert_eq!(marks::problems(&found), [""; 0]);

    let (mark, places) = found.pop_first().expect("a rule");
    assert!(marks::problems(&found)[0].contains(&mark), "a mark is missing");
    found.insert(mark, [places.clone(), places].concat());
    assert!(marks::problems(&found)[0].contains("2 times"), "a mark occurs twice");
    found.retain(|_, places| places.len() == 1);
    found.insert("unheard-of".to_owned(), vec!["a.rs:1".to_owned()]);
    assert!(marks::problems(&found)[1].contains("a.rs:1"), "a mark belongs to no rule");
}

/// Returns `Ok` if one of a few schedules fails without this rule.
fn is_detected(program: &Path, rule: &Rule) -> Result<(), String> {
    let mut attempts = (rule.seed..rule.seed + ATTEMPTS).map(|seed| without(program, rule, seed));
    attempts.find(Result::is_ok).unwrap_or_else(|| without(program, rule, rule.seed))
}

/// Runs one schedule without this rule. Returns an error unless the checker reports the expected
/// violation.
fn without(program: &Path, rule: &Rule, seed: u64) -> Result<(), String> {
    let keep = program.with_file_name(format!("without-{}", rule.mark));
    let output = Command::new(program)
        .env(WITHOUT, rule.mark)
        .args(["--schedules", "1", "--seconds", "5", "--json"])
        .args(["--seed", &seed.to_string(), "--only", rule.faults])
        .args(["--faults", &rule.steps.to_string()])
        .args(["--with", rule.with])
        .arg("--keep")
        .arg(keep)
        .output()
        .expect("the copy runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let violations = report["verdict"]["violations"].as_array().cloned().unwrap_or_default();
    let found: HashSet<_> = violations.iter().filter_map(|found| found["rule"].as_str()).collect();
    if found.contains(rule.found_as) && !output.status.success() {
        return Ok(());
    }
    let (mark, expected) = (rule.mark, rule.found_as);
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "without \"{mark}\" the checker found {found:?} instead of {expected}: {text}{:#}",
        report["faults"]
    ))
}
