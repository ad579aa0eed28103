//! The documented limits and defaults of a state, as plain numbers.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::time::Duration;

use caracal_revocation_state::{LEEWAY, LONGEST_LIFETIME, ManualClock, Options, RevocationsWriter};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn defaults_are_the_documented_ones() {
    let mut expected = Options::default();
    expected.memory = seconds(86_400);
    expected.deny_after = seconds(60);
    expected.warn_after = seconds(5);
    expected.horizon_margin = seconds(5);
    expected.max_entries = 5_000_000;
    expected.strict = false;
    assert_eq!(Options::default(), expected);

    expected.deny_after = seconds(5);
    expected.warn_after = seconds(3);
    expected.horizon_margin = seconds(60);
    expected.strict = true;
    assert_eq!(Options::strict(), expected);

    assert_eq!(LONGEST_LIFETIME, seconds(3_600));
    assert_eq!(LEEWAY, seconds(60));
    assert_eq!(Options::SHORTEST_BOUND, Duration::from_millis(400));
}

/// Returns the memory and the time of a warning that a state uses with these options.
fn used(memory: Duration, deny_after: Duration, warn_after: Duration) -> (Duration, Duration) {
    let mut options = Options::default();
    (options.memory, options.deny_after, options.warn_after) = (memory, deny_after, warn_after);
    let clock = std::sync::Arc::new(ManualClock::new());
    let options = *RevocationsWriter::with_clock(options, clock).options();
    assert_eq!(options.deny_after, deny_after);
    (options.memory, options.warn_after)
}

#[test]
fn state_remembers_longer_than_any_token_lives() {
    // An hour, two minutes for the clocks of both sides, and three minutes for rounding.
    assert_eq!(used(seconds(1), seconds(60), seconds(5)).0, seconds(3_900));
    assert_eq!(used(seconds(3_901), seconds(60), seconds(5)).0, seconds(3_901));
}

#[test]
fn warning_precedes_denial() {
    for (deny_after, warn_after, used_warn_after) in [
        (seconds(60), seconds(59), seconds(59)),
        (seconds(60), seconds(60), seconds(36)),
        (seconds(60), seconds(61), seconds(36)),
        (Duration::from_millis(500), seconds(5), Duration::from_millis(400)),
    ] {
        let (_, warns) = used(seconds(86_400), deny_after, warn_after);
        assert_eq!(warns, used_warn_after, "{deny_after:?} {warn_after:?}");
    }
}

#[test]
fn too_short_bound_names_its_setting_and_value() {
    let short = Duration::from_millis(399);
    for (setting, deny_after, warn_after) in
        [("deny_after", short, seconds(5)), ("warn_after", seconds(60), short)]
    {
        let mut options = Options::default();
        (options.deny_after, options.warn_after) = (deny_after, warn_after);
        let error = options.check().unwrap_err();
        assert_eq!((error.setting(), error.bound()), (setting, short));
        let text = format!("{setting}: 399 ms is too short; the smallest bound is 400 ms");
        assert_eq!(error.to_string(), text);
    }
    let mut options = Options::default();
    options.deny_after = Options::SHORTEST_BOUND;
    options.warn_after = Options::SHORTEST_BOUND;
    assert!(options.check().is_ok());
}
