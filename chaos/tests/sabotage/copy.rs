//! The patched copy and its build.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rules::RULES;
use crate::{WITHOUT, marks};

const PROGRAM: &str = "chaos-sabotaged";

/// Builds the copy in its own target folder, and returns the path of its program. Cargo identifies
/// a crate by its place in the workspace, so with a shared folder it would mix up the two builds.
pub fn build() -> PathBuf {
    let root = marks::root();
    let problems = marks::problems(&marks::in_sources());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let target = Path::new(env!("CARGO_BIN_EXE_chaos"));
    let target = target.parent().and_then(Path::parent).expect("the target folder");
    let copy = target.join("sabotage");
    for folder in marks::FOLDERS {
        copy_folder(&root.join(folder), &copy.join(folder));
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

/// Returns the workspace manifest without the members that are not copied.
fn members(workspace: &str) -> String {
    let lines = workspace.lines().map(|line| {
        if line.starts_with("members = ") { "members = [\"chaos\", \"crates/*\"]" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder of the sources") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            write(&to, &sabotage(&read(&path)));
        }
    }
}

/// Removes files of an earlier copy that are no longer in the sources.
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

/// Returns the text with code in place of each mark, so that a variable can remove the rule.
fn sabotage(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let rule = RULES.iter().find(|rule| marks::mark(line) == Some(rule.mark));
        rule.map_or_else(|| line.to_owned(), |rule| rule.without.replace("OFF", &is_off(rule.mark)))
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn is_off(mark: &str) -> String {
    format!("std::env::var(\"{WITHOUT}\").is_ok_and(|off| off == \"{mark}\")")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file, unless it has this text already: then cargo does not compile it again.
fn write(path: &Path, text: &str) {
    if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be created");
    std::fs::write(path, text).expect("a file can be written");
}
