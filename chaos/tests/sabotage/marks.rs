//! Finds the marks of the safety rules in the sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::rules::RULES;

/// The folders that can have marks. The copy consists of them.
pub const FOLDERS: [&str; 2] = ["crates", "chaos/src"];

/// Returns the name of the rule that a line marks.
pub fn mark(line: &str) -> Option<&str> {
    line.trim().strip_prefix("// rule: ")
}

/// Returns the folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Returns the places of each mark in the sources.
pub fn in_sources() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for file in FOLDERS.iter().flat_map(|folder| sources(&root().join(folder))) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            if let Some(mark) = mark(line) {
                let place = format!("{}:{}", file.display(), number + 1);
                found.entry(mark.to_owned()).or_default().push(place);
            }
        }
    }
    found
}

/// Returns the problems with the marks: each rule must have exactly one, and each mark must be of a
/// rule.
pub fn problems(found: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let rules = RULES.iter().filter_map(|rule| {
        let places = found.get(rule.mark).map_or(&[][..], Vec::as_slice);
        (places.len() != 1).then(|| {
            format!(
                "\"// rule: {}\" must be in the sources once, on a line before the code that \
                 keeps the rule; it occurs {} times: {}",
                rule.mark,
                places.len(),
                places.join(", ")
            )
        })
    });
    let unknown = found.iter().filter(|(mark, _)| RULES.iter().all(|rule| rule.mark != **mark));
    let unknown = unknown.map(|(mark, places)| {
        format!("{}: \"// rule: {mark}\" is not in the table in rules.rs", places.join(", "))
    });
    rules.chain(unknown).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of the sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
