//! The end of a horizon, and its independence of clock changes.

#![allow(clippy::panic, clippy::expect_used, reason = "tests may panic, their helpers too")]

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{
    Checks, Claims, Hop, LONGEST_LIFETIME, ManualClock, Options, Revocations, RevocationsWriter,
    StateSnapshot, Verdict,
};
use proptest::prelude::*;

/// Start time of a [`ManualClock`].
const NOW: i64 = 1_795_400_000;
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The longest lifetime, the leeway at both ends, and rounding to whole minutes.
const HORIZON_DURATION: Duration = Duration::from_secs(LONGEST_LIFETIME.as_secs() + 5 * 60);

/// Returns a state with a horizon at this moment.
fn lossy(options: Options) -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let revocations = RevocationsWriter::with_clock(options, clock.clone());
    revocations.confirm(revocations.now());
    revocations.raise_horizon(NOW);
    (revocations, clock)
}

fn named(revocations: &Revocations) -> Option<i64> {
    let readiness = revocations.readiness(revocations.now());
    assert_eq!(readiness.horizon, revocations.horizon());
    readiness.horizon
}

#[test]
fn readiness_omits_ended_horizon() {
    let (revocations, clock) = lossy(Options::default());
    clock.advance(HORIZON_DURATION);
    assert_eq!(named(&revocations), Some(NOW));
    clock.advance(Duration::from_secs(1));
    assert_eq!(named(&revocations), None);
    clock.advance(WEEK);
    assert_eq!(named(&revocations), None);
    assert!(!revocations.readiness(revocations.now()).to_string().contains("refused"));
}

#[test]
fn snapshot_keeps_living_horizon_and_drops_ended_one() {
    let (revocations, clock) = lossy(Options::default());
    let recalled = |image: &StateSnapshot| {
        let later = RevocationsWriter::with_clock(Options::default(), clock.clone());
        later.restore(image).expect("an image of this process");
        later
    };
    let living = revocations.image();
    assert_eq!(recalled(&living).horizon(), Some(NOW));
    clock.advance(HORIZON_DURATION + Duration::from_secs(1));
    assert_eq!(recalled(&revocations.image()).horizon(), None);
    // No clock shows the age of the image.
    let later = recalled(&living);
    assert_eq!(later.horizon(), Some(NOW));
    clock.advance(HORIZON_DURATION);
    assert_eq!(later.horizon(), None);
}

#[test]
fn later_gap_raises_horizon_that_had_ended() {
    let (revocations, clock) = lossy(Options::default());
    clock.advance(WEEK);
    let second = NOW + i64::try_from(WEEK.as_secs()).expect("a second");
    revocations.raise_horizon(second);
    assert_eq!(named(&revocations), Some(second));
    clock.advance(WEEK);
    assert_eq!(named(&revocations), None);
}

/// Changes of a machine's clocks, in minutes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    JumpForward(u64),
    SetBack(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..40).prop_map(Step::Pass),
        (0_u64..200).prop_map(Step::JumpForward),
        (0_u64..200).prop_map(Step::SetBack),
    ]
}

proptest! {
    #[test]
    fn no_clock_change_admits_tokens_below_the_horizon(
        steps in proptest::collection::vec(step(), 1..12),
        is_strict in any::<bool>(),
        age in 0_i64..7_200,
    ) {
        let options = if is_strict { Options::strict() } else { Options::default() };
        let (revocations, clock) = lossy(options);
        let mut real = Duration::ZERO;
        for step in steps {
            let minutes = |minutes| Duration::from_secs(60 * minutes);
            match step {
                Step::Pass(by) => {
                    real += minutes(by);
                    clock.advance(minutes(by));
                }
                Step::JumpForward(by) => clock.advance_wall(minutes(by)),
                Step::SetBack(by) => clock.set_wall_back(minutes(by)),
            }
            let now = revocations.now();
            revocations.confirm(now);
            let is_admitted = |claims: &Claims| {
                matches!(revocations.decide(claims, &Checks::default(), now), Verdict::Admitted(_))
            };
            // Issued at or before the horizon, with the longest lifetime.
            prop_assert!(!is_admitted(&Claims::new("ar-1", NOW - age, NOW - age + 3_600)));
            // Issued now; an earlier hop may have been suspended in the gap.
            let wall = now.wall.as_secs().cast_signed();
            let mut chained = Claims::new("ar-1", wall, wall + 3_600);
            let hop = |session: &str| Hop::new(Some(session.into()), None);
            chained.delegation_chain = vec![hop("gs-1"), hop("gs-2")];
            prop_assert!(!is_strict || real >= HORIZON_DURATION || !is_admitted(&chained));
        }
    }
}
