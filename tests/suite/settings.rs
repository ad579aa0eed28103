//! Every setting that the sources name has a row in `docs/settings.md`, and the reverse.

use std::collections::BTreeSet;

use crate::logged::{assert_same, page, sources};

/// Returns `true` for the name of an environment variable that cargo does not set.
fn is_setting(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    text.contains('_') && text.split('_').all(is_part) && !text.starts_with("CARGO_")
}

#[test]
fn settings_page_lists_exactly_the_settings_in_the_sources() {
    let code = sources();
    let named = code.split('"').filter(|text| is_setting(text)).map(str::to_owned).collect();
    let page = page("docs/settings.md");
    let mut rows = BTreeSet::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("| ")) {
        let names = line.split(" | ").next().unwrap_or_default();
        for name in names.split('`').filter(|text| is_setting(text)) {
            rows.insert(name.to_owned());
            if names.contains("(or file") {
                rows.insert(format!("{name}_FILE"));
            }
        }
    }
    assert_same(&named, &rows);
}
