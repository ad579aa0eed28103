//! `docs/guard.md` lists exactly the settings that the program accepts; those of the reverse proxy may
//! be in `docs/proxies/own.md`.

use std::collections::BTreeSet;

use tempfile::TempDir;

use crate::packages::repository;
use crate::trial::run;

fn page(path: &str) -> String {
    std::fs::read_to_string(repository("docs").join(path)).unwrap_or_default()
}

/// Returns the names in backticks in the first cell of each row of a table.
fn first_cells(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" | ").next().unwrap());
    cells.flat_map(|cell| cell.split('`').step_by(2)).map(str::to_owned).collect()
}

/// Returns the names that the error about an unknown key lists as accepted.
fn accepted(configuration: &str) -> Vec<String> {
    let folder = TempDir::with_prefix("settings-").unwrap();
    let path = folder.path().join("guard.toml");
    std::fs::write(&path, configuration).unwrap();
    let output = run(&["check-config", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    let (_, names) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn page_lists_exactly_the_keys_of_the_file() {
    let mut keys = BTreeSet::new();
    for section in accepted("unknown = 1") {
        let text = match section.as_str() {
            // Its keys are the library's settings, by name.
            "settings" => continue,
            "routes" => "[[routes]]\nunknown = 1".to_owned(),
            section => format!("[{section}]\nunknown = 1"),
        };
        keys.extend(accepted(&text).into_iter().map(|key| format!("{section}.{key}")));
    }
    assert!(keys.contains("listen.check") && keys.contains("routes.path"), "{keys:?}");
    let listed: BTreeSet<_> =
        first_cells(&page("guard.md")).into_iter().filter(|name| name.contains('.')).collect();
    let of_proxy = first_cells(&page("proxies/own.md"));
    let is_of_proxy = |key: &str| match key.split_once('.') {
        Some(("proxy" | "limits", key)) => of_proxy.contains(key),
        _ => false,
    };
    let missing: Vec<_> = keys.difference(&listed).filter(|key| !is_of_proxy(key)).collect();
    let unknown: Vec<_> = listed.difference(&keys).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "no row: {missing:?}; no key: {unknown:?}");
}

#[test]
fn page_lists_every_flag_and_its_variable() {
    let page = page("guard.md");
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let flags = help.split(" --").skip(1).map(|text| text.split(' ').next().unwrap());
    let flags: Vec<_> = flags.filter(|flag| !["help", "version"].contains(flag)).collect();
    assert!(flags.contains(&"check"), "{flags:?}");
    for flag in flags {
        assert!(page.contains(&format!("`--{flag}`")), "--{flag} has no row");
    }
    let names = help.split("[env: ").skip(1).map(|text| text.split([']', ',']).next().unwrap());
    let names: Vec<_> = names.collect();
    assert!(names.contains(&"CARACAL_GUARD_CHECK"), "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name} has no row");
    }
}
