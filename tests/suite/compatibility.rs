//! `docs/compatibility.md` names tests and metrics that exist.

use std::collections::BTreeSet;

use crate::logged::page;

const PAGE: &str = "docs/compatibility.md";

/// Returns the texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_the_page_names_exists() {
    let text = page(PAGE);
    let pairs: Vec<_> = text
        .split("` in `")
        .zip(text.split("` in `").skip(1))
        .filter_map(|(before, after)| Some((before.rsplit('`').next()?, after.split('`').next()?)))
        .filter(|(_, path)| path.ends_with(".rs"))
        .collect();
    assert!(pairs.len() > 20, "{pairs:?}");
    for (test, path) in pairs {
        let source = page(path);
        let (before, _) = source
            .split_once(&format!("fn {test}() {{"))
            .unwrap_or_else(|| panic!("{path}: {test}"));
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        assert!(attributes.contains("#[test]") || attributes.contains("#[tokio::test"), "{test}");
    }
}

#[test]
fn every_metric_and_alert_that_the_page_names_exists() {
    let text = page(PAGE);
    let (_, section) = text.split_once("## Alerts and metrics").unwrap();
    let (metrics, rules) =
        (page("docs/metrics.md"), page("ops/prometheus/caracal-revocation.rules.yml"));
    let named: BTreeSet<_> = quoted(section).filter(|name| name.starts_with("caracal_")).collect();
    assert!(named.len() > 18, "{named:?}");
    for name in named {
        // In a row of a table, perhaps with labels.
        let row = [format!("| `{name}`"), format!("| `{name}{{")];
        assert!(row.iter().any(|row| metrics.contains(row)), "{name}");
    }
    let rows =
        section.lines().filter_map(|line| line.strip_prefix("| `Caracal")?.rsplit(" | ").next());
    let alerts: BTreeSet<_> =
        rows.flat_map(quoted).filter(|name| !name.starts_with("caracal_")).collect();
    assert!(alerts.len() > 4, "{alerts:?}");
    for name in alerts {
        assert!(rules.contains(&format!("- alert: {name}\n")), "{name}");
    }
}
