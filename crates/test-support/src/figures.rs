//! The results of a bench: a table on the screen, and a file for comparisons.

use std::fs;

use serde_json::{Value, json};

/// Returns `true` under `cargo bench`; `cargo test --benches` only checks that a bench starts.
pub fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Returns the load of this machine, as the kernel reports it.
pub fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

/// The figures of one bench, for `target/figures/<bench>.json`.
#[derive(Debug)]
pub struct Figures {
    bench: &'static str,
    all: Vec<Value>,
}

impl Figures {
    /// Creates an empty list for the bench of this name.
    pub const fn of(bench: &'static str) -> Self {
        Self { bench, all: Vec::new() }
    }

    /// Adds a figure with the median, lowest and highest of the rounds.
    pub fn add(&mut self, name: &str, rounds: &[f64], unit: &str) {
        let [lowest, highest] = [0.0, 1.0].map(|share| quantile(rounds, share));
        self.all.push(json!({
            "name": name, "value": median(rounds), "unit": unit, "lowest": lowest, "highest": highest,
            "peer": null, "floor": null, "ratio": null,
        }));
    }

    /// Adds a figure and its floor: the same rounds without the measured part.
    pub fn add_with_floor(&mut self, name: &str, rounds: &[f64], unit: &str, floor: &[f64]) {
        self.add(name, rounds, unit);
        if let Some(figure) = self.all.last_mut() {
            figure["floor"] = json!(median(floor));
            figure["ratio"] = json!(median(rounds) / median(floor));
        }
    }

    /// Adds a single value.
    pub fn one(&mut self, name: &str, value: f64, unit: &str) {
        self.add(name, &[value], unit);
    }

    /// Writes the file.
    pub fn write(self) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/figures");
        fs::create_dir_all(folder).expect("a folder");
        let text = serde_json::to_string_pretty(&self.all).expect("figures");
        let file = format!("{folder}/{}.json", self.bench);
        fs::write(&file, text + "\n").expect("a file");
        println!("\nwritten to target/figures/{}.json", self.bench);
    }
}

/// Prints the head of a table of [`row`]s.
pub fn head(title: &str, unit: &str) {
    println!("\n{title:<58}{:>12}{:>12}{:>12}  {unit}", "median", "lowest", "highest");
}

/// Prints the median, lowest and highest of rounds.
pub fn row(name: &str, rounds: &[f64]) {
    let [lowest, highest] = [0.0, 1.0].map(|share| quantile(rounds, share));
    println!(
        "  {name:<56}{:>12}{:>12}{:>12}",
        shown(median(rounds)),
        shown(lowest),
        shown(highest)
    );
}

/// Formats a value with as many decimals as are significant.
pub fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Returns the median.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns the value below which this share of the values lies.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
