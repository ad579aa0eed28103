//! Every event in `docs/tracing.md` exists in the sources.

use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Joins string lines that end with a backslash, as the compiler does.
fn joined(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}

#[test]
fn every_documented_event_is_in_the_sources_with_its_level() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    let text: String =
        files.iter().map(|file| joined(&std::fs::read_to_string(file).unwrap())).collect();
    // The text between an event's macro and the end of its statement.
    let has = |level: &str, message: &str| {
        let message = format!("\"{message}\"");
        let event = format!("tracing::{level}!(");
        let mut events = text.split(&event).skip(1);
        events.any(|event| event.split(";\n").next().is_some_and(|event| event.contains(&message)))
    };
    let docs = std::fs::read_to_string(root.join("docs/tracing.md")).unwrap();
    let mut checked = 0;
    for line in docs.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(level), Some(message)) = (cells.next(), cells.next()) else { continue };
        if ["error", "warn", "info", "debug"].contains(&level) {
            assert!(has(level, message), "{level}: {message}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}
