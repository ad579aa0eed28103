//! The patched copy and its build.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::WITHOUT;
use crate::rules::RULES;

const PROGRAM: &str = "chaos-sabotaged";

/// Builds the copy, in a target folder of its own: cargo takes a crate at the same place in another
/// workspace for the same crate, and would give one's build to the other. Where its program is.
pub fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let target = Path::new(env!("CARGO_BIN_EXE_chaos"));
    let target = target.parent().and_then(Path::parent).expect("the target folder");
    let copy = target.join("sabotage");
    for folder in ["crates", "chaos/src"] {
        copy_folder(&root.join(folder), &copy.join(folder), &copy);
        prune(&root.join(folder), &copy.join(folder));
    }
    let manifest = read(&root.join("Cargo.toml"));
    let at = manifest.find("[workspace]").expect("a workspace");
    write(&copy.join("Cargo.toml"), &members(&manifest[at..]));
    let own = read(&root.join("chaos/Cargo.toml"));
    write(&copy.join("chaos/Cargo.toml"), &own.replace("\"chaos\"", &format!("\"{PROGRAM}\"")));
    write(&copy.join("Cargo.lock"), &read(&root.join("Cargo.lock")));
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "-p", PROGRAM])
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .current_dir(&copy)
        .status();
    assert!(status.expect("cargo runs").success(), "the patched copy does not build");
    copy.join("target/debug").join(PROGRAM)
}

/// The workspace without the members that are not copied.
fn members(workspace: &str) -> String {
    let lines = workspace.lines().map(|line| {
        if line.starts_with("members = ") { "members = [\"chaos\", \"crates/*\"]" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn copy_folder(from: &Path, to: &Path, copy: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder of the sources") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &to, copy);
        } else {
            write(&to, &sabotage(&to, copy, read(&path)));
        }
    }
}

/// Removes what an earlier copy left and the sources have no more.
fn prune(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(to).expect("a folder of the copy") {
        let path = entry.expect("an entry").path();
        let from = from.join(path.file_name().expect("a name"));
        match (path.is_dir(), from.exists()) {
            (true, true) => prune(&from, &path),
            (true, false) => std::fs::remove_dir_all(&path).expect("it can be removed"),
            (false, true) => {}
            (false, false) => std::fs::remove_file(&path).expect("it can be removed"),
        }
    }
}

/// The text with the rules that stand in it made removable.
fn sabotage(file: &Path, copy: &Path, mut text: String) -> String {
    for rule in RULES.iter().filter(|rule| copy.join(rule.file) == file) {
        let found = text.matches(rule.stands).count();
        assert_eq!(found, 1, "{}: the rule \"{}\" has moved; find it", rule.file, rule.name);
        let is_off =
            format!("std::env::var(\"{WITHOUT}\").is_ok_and(|off| off == \"{}\")", rule.name);
        text = text.replace(rule.stands, &rule.removable.replace("OFF", &is_off));
    }
    text
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Leaves a file alone that is as it should be: it need not be compiled again.
fn write(path: &Path, text: &str) {
    if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
    std::fs::write(path, text).expect("a file can be written");
}
