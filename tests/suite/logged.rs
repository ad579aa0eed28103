//! Every event and span in the sources has a row in `docs/tracing.md`, and the reverse.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Reads a file of the repository.
pub(crate) fn page(path: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads the sources of all crates, without files of tests and without the test support.
pub(crate) fn sources() -> String {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let entries = std::fs::read_dir(crates).unwrap();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path().join("src")).collect();
    folders.retain(|folder| !folder.ends_with("test-support/src"));
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("tests") || path.ends_with("tests.rs") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// Asserts that the sources and a page name the same things.
pub(crate) fn assert_same(sources: &BTreeSet<String>, page: &BTreeSet<String>) {
    let without_row: Vec<_> = sources.difference(page).collect();
    let without_source: Vec<_> = page.difference(sources).collect();
    assert!(
        without_row.is_empty() && without_source.is_empty(),
        "in the sources without a row: {without_row:#?}; rows without a source: {without_source:#?}"
    );
}

/// Joins string lines that end with a backslash, as the compiler does.
fn joined(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}

/// Returns the message of an event or the name of a span, given its arguments: the first string
/// that is an argument by itself, not the value of a field.
fn message(arguments: &str) -> &str {
    let mut parts = arguments.split('"');
    while let (Some(before), Some(text)) = (parts.next(), parts.next()) {
        let before = before.trim_end();
        if before.is_empty() || before.ends_with(',') {
            return text;
        }
    }
    panic!("an event without a message")
}

#[test]
fn tracing_page_lists_exactly_the_events_in_the_sources() {
    let code = joined(&sources());
    let mut logged = BTreeSet::new();
    for level in LEVELS {
        for call in [format!("tracing::{level}!("), format!("tracing::{level}_span!(")] {
            let events = code.split(&call).skip(1);
            logged.extend(events.map(|arguments| format!("{level}: {}", message(arguments))));
        }
    }
    let page = page("docs/tracing.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (level, message) = (cells.next()?, cells.next()?);
        LEVELS.contains(&level).then(|| format!("{level}: {}", message.trim_matches('`')))
    });
    assert_same(&logged, &rows.collect());
}
