//! Every test that `SECURITY.md` names and every file that `docs/architecture.md` names exists.

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

#[test]
fn security_page_names_existing_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["crates", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    let code: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let page = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let names = page.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2);
    let missing: Vec<_> =
        names.clone().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(names.count() > 20);
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn architecture_page_names_existing_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let files: Vec<_> =
        page.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs")).collect();
    let is_missing = |file: &&str| !root.join("crates").join(file).is_file();
    let missing: Vec<_> = files.iter().copied().filter(is_missing).collect();
    assert!(files.len() > 20);
    assert!(missing.is_empty(), "no such files: {missing:?}");
}
