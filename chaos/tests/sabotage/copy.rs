//! The patched copy and its build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::rules::RULES;
use crate::{WITHOUT, marks};

const PROGRAM: &str = "chaos-sabotaged";
/// Files that a crate includes when it is compiled.
const INCLUDED: &str = "tests/vectors";

/// Builds the copy in its own target folder, and returns the path of its program. Cargo identifies
/// a crate by its place in the workspace, so with a shared folder it would mix up the two builds.
pub fn build() -> PathBuf {
    static ONCE: Mutex<()> = Mutex::new(());
    let _alone = ONCE.lock().expect("the copy was built");
    let root = marks::root();
    let problems = marks::problems(&marks::in_sources());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let target = Path::new(env!("CARGO_BIN_EXE_chaos"));
    let target = target.parent().and_then(Path::parent).expect("the target folder");
    let copy = target.join("sabotage");
    for folder in marks::FOLDERS.into_iter().chain([INCLUDED]) {
        copy_folder(&root.join(folder), &copy.join(folder));
        prune(&root.join(folder), &copy.join(folder));
    }
    let manifest = read(&root.join("Cargo.toml"));
    let at = manifest.find("[workspace]").expect("a workspace");
    write(&copy.join("Cargo.toml"), &members(&manifest[at..]));
    let own = read(&root.join("chaos/Cargo.toml"));
    write(&copy.join("chaos/Cargo.toml"), &own.replace("\"chaos\"", &format!("\"{PROGRAM}\"")));
    write(&copy.join("Cargo.lock"), &read(&root.join("Cargo.lock")));
    share_dependencies(&target.join("debug"), &copy.join("target/debug"));
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--workspace", "--all-features", "--bin", PROGRAM])
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .current_dir(&copy)
        .status();
    assert!(status.expect("cargo runs").success(), "the patched copy does not build");
    copy.join("target/debug").join(PROGRAM)
}

/// Gives the copy the built dependencies, except the crates of this workspace, which differ. Cargo
/// builds again what it cannot use.
fn share_dependencies(from: &Path, to: &Path) {
    if to.exists() {
        return;
    }
    for folder in ["deps", "build", ".fingerprint"] {
        let Ok(entries) = std::fs::read_dir(from.join(folder)) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = path.file_name().expect("a name");
            let text = name.to_string_lossy();
            let is_own = ["caracal", "chaos", "suite"]
                .iter()
                .any(|own| text.trim_start_matches("lib").starts_with(own));
            if !is_own {
                share(&path, &to.join(folder).join(name), folder != ".fingerprint");
            }
        }
    }
}

/// Links a file, or copies it. Cargo writes fingerprints in place, so they must not be linked.
fn share(from: &Path, to: &Path, link: bool) {
    if from.is_dir() {
        std::fs::create_dir_all(to).expect("a folder can be created");
        for path in
            std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            share(&path, &to.join(path.file_name().expect("a name")), link);
        }
        return;
    }
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder can be created");
    let modified = std::fs::metadata(from).and_then(|file| file.modified());
    if !link || std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).expect("a file can be copied");
        let copy = std::fs::File::options().append(true).open(to).expect("the copy");
        copy.set_modified(modified.expect("a time")).expect("its time can be set");
    }
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
