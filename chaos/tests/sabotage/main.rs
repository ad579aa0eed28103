//! Checks that fault injection can fail: it must detect the absence of each safety rule.
//!
//! The test builds a copy of the crates in which an environment variable removes a rule. The copy
//! has its own target folder, so it cannot affect a build of the real crates. With every rule in
//! force, the same schedules must pass.
//!
//! By default, it removes a few of the rules. With `CHAOS_SABOTAGE=all` it removes each of them, and
//! with `CHAOS_SABOTAGE=MARK,…` those with these marks.

mod copy;
mod marks;
mod rules;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rules::{RULES, Rule};

/// The environment variable with the rule that the copy omits.
const WITHOUT: &str = "CHAOS_WITHOUT";
/// Set to `all` to remove each rule, or to the marks of some rules. Otherwise, the test removes those
/// that are marked as short.
const EXTENT: &str = "CHAOS_SABOTAGE";
/// The number of runs in which the absence of a rule must be detected. The exact time of a fault
/// depends on the machine.
const ATTEMPTS: u64 = 3;

/// The number of schedules that run at the same time. On a machine that more of them make too slow,
/// every schedule fails, and that shows nothing.
const AT_ONCE: usize = 4;

/// The verdict of the checker on one schedule.
struct Run {
    found: HashSet<String>,
    text: String,
}

#[test]
fn without_any_one_of_the_safety_rules_a_schedule_fails() {
    let program = copy::build();
    let chosen = chosen();
    assert!(!chosen.is_empty(), "{EXTENT} has no mark of a rule");
    let missed = side_by_side(&chosen, |rule| is_detected(&program, rule));
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

#[test]
fn with_all_safety_rules_the_same_schedules_pass() {
    let program = copy::build();
    // Several rules may have the same schedule.
    let schedules: BTreeSet<_> = chosen()
        .into_iter()
        .map(|rule| (rule.setup, rule.faults, rule.with, rule.steps, rule.seed))
        .collect();
    let schedules: Vec<_> = schedules
        .into_iter()
        .map(|(setup, faults, with, steps, seed)| Rule {
            setup,
            faults,
            with,
            steps,
            seed,
            ..RULES[0]
        })
        .collect();
    let schedules: Vec<&Rule> = schedules.iter().collect();
    let failed = side_by_side(&schedules, |rule| passes(&program, rule));
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
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

/// Returns the rules that the test removes.
fn chosen() -> Vec<&'static Rule> {
    let extent = std::env::var(EXTENT).ok();
    let is_chosen = |rule: &&Rule| match extent.as_deref() {
        None => rule.is_short,
        Some("all") => true,
        Some(marks) => marks.split(',').any(|mark| mark == rule.mark),
    };
    RULES.iter().filter(is_chosen).collect()
}

/// Applies a check to each rule, a few at a time. Returns the errors.
fn side_by_side(
    rules: &[&Rule],
    check: impl Fn(&Rule) -> Result<(), String> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let run = || {
        let rules = std::iter::from_fn(|| rules.get(next.fetch_add(1, Ordering::Relaxed)));
        rules.filter_map(|rule| check(rule).err()).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(run)).collect();
        runs.into_iter().flat_map(|run| run.join().expect("no run panics")).collect()
    })
}

/// Returns `Ok` if one of a few schedules fails without this rule, as expected.
fn is_detected(program: &Path, rule: &Rule) -> Result<(), String> {
    let mut last = String::new();
    for seed in rule.seed..rule.seed + ATTEMPTS {
        let run = run(program, rule, seed, rule.mark);
        if run.found.contains(rule.found_as) && !run.was_too_slow() {
            return Ok(());
        }
        last = run.describe();
    }
    Err(format!("without \"{}\", {} was expected: {last}", rule.mark, rule.found_as))
}

/// Returns `Ok` if the schedule passes with all rules. If it broke nothing but limits of time, as on a
/// machine that is too slow, it runs again.
fn passes(program: &Path, rule: &Rule) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let run = run(program, rule, rule.seed, "none");
        if run.found.is_empty() {
            return Ok(());
        }
        last = run.describe();
        if run.broke_more_than_limits_of_time() {
            break;
        }
    }
    Err(format!("with all rules, {} of seed {}: {last}", rule.faults, rule.seed))
}

impl Run {
    fn was_too_slow(&self) -> bool {
        self.found.contains("TooSlow")
    }

    fn broke_more_than_limits_of_time(&self) -> bool {
        let without_limit =
            ["BeyondBound", "Forgotten", "FalselyReady", "TwoHeaders", "ReaderDied"];
        without_limit.iter().any(|rule| self.found.contains(*rule))
    }

    fn describe(&self) -> String {
        format!("the checker found {:?}: {}", self.found, self.text)
    }
}

/// Runs one schedule without this rule.
fn run(program: &Path, rule: &Rule, seed: u64, without: &str) -> Run {
    // A folder of its own: schedules with one seed run at the same time.
    let schedule = format!("{}-{}-{}", rule.faults, rule.with, rule.steps);
    let keep = program.with_file_name(format!("without-{without}-{}-{schedule}", rule.mark));
    let output = Command::new(program)
        .env(WITHOUT, without)
        .args(["--schedules", "1", "--seconds", "5", "--json"])
        .args(["--setup", rule.setup, "--seed", &seed.to_string(), "--only", rule.faults])
        .args(["--faults", &rule.steps.to_string()])
        .args(["--with", rule.with])
        .arg("--keep")
        .arg(keep)
        .output()
        .expect("the copy runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let violations = report["verdict"]["violations"].as_array().cloned().unwrap_or_default();
    let mut found: HashSet<_> =
        violations.iter().filter_map(|found| Some(found["rule"].as_str()?.to_owned())).collect();
    if found.is_empty() && !output.status.success() {
        found.insert("a failure of the harness".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let shown: Vec<_> = violations.iter().take(5).map(|found| format!("{found}")).collect();
    Run { found, text: format!("{text}{}\n{:#}", shown.join("\n"), report["faults"]) }
}
