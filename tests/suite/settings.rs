//! Every setting that the sources name has a row in `docs/settings.md`, or in a page of the guard,
//! and the reverse.

use std::collections::BTreeSet;

use crate::logged::{assert_same, page, sources};

/// The pages of settings, and the number of their columns that hold names.
const PAGES: [(&str, usize); 3] =
    [("docs/settings.md", 1), ("docs/guard.md", 3), ("docs/proxies/own.md", 3)];

/// Returns `true` for the name of an environment variable that cargo does not set, and that is not
/// one of the tracing crates.
fn is_setting(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    text.contains('_')
        && text.split('_').all(is_part)
        && !text.starts_with("CARGO_")
        && text != "RUST_LOG"
}

#[test]
fn settings_pages_list_exactly_the_settings_in_the_sources() {
    let code = sources();
    let named = code.split('"').filter(|text| is_setting(text)).map(str::to_owned).collect();
    let mut rows = BTreeSet::new();
    for (path, columns) in PAGES {
        for line in page(path).lines().filter_map(|line| line.strip_prefix("| ")) {
            for names in line.split(" | ").take(columns) {
                for name in names.split('`').filter(|text| is_setting(text)) {
                    rows.insert(name.to_owned());
                    if names.contains("(or file") {
                        rows.insert(format!("{name}_FILE"));
                    }
                }
            }
        }
    }
    assert_same(&named, &rows);
}
