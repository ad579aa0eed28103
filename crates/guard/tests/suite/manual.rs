//! The man pages and the completions of shells.

use tempfile::TempDir;

use crate::trial::run;

#[test]
fn completions_know_flags_and_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        for word in ["check-config", "ext-authz", "self-check"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).status.code(), Some(2));
}

#[test]
fn writes_man_page_of_each_command() {
    let folder = TempDir::with_prefix("man-").unwrap();
    let man = folder.path().join("man1");
    assert!(run(&["man", man.to_str().unwrap()]).status.success());
    let page = std::fs::read_to_string(man.join("caracal-guard.1")).unwrap();
    assert!(page.contains(r"\-\-ext\-authz"), "{page}");
    for command in ["check-config", "try", "completions", "man"] {
        assert!(man.join(format!("caracal-guard-{command}.1")).is_file(), "{command}");
    }
    assert_eq!(run(&["man", "/dev/null/folder"]).status.code(), Some(2));
}
