use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Moment {
    let since = Duration::from_secs(seconds);
    Moment { monotonic: since, wall: since }
}

fn invalidation(generation: u64, version: Option<&str>, published: u64) -> PolicyInvalidation {
    // The struct is `non_exhaustive`, so the test changes a default value.
    let mut invalidation = PolicyInvalidation::default();
    invalidation.generation = generation;
    invalidation.version = version.map(Arc::from);
    invalidation.published = Some(at(published));
    invalidation
}

fn version(name: &str) -> Version {
    Version { version: name.into(), digest: name.into(), content: name.into() }
}

/// Runs a whole load that brings this version.
fn load(
    ledger: &mut Ledger,
    invalidation: &PolicyInvalidation,
    now: u64,
    name: &str,
) -> LoadAction {
    let attempt = ledger.begin(invalidation, at(now));
    let answers = |awaited: &str| awaited == name;
    let action = ledger.action(&attempt, &version(name), answers);
    if matches!(action, LoadAction::New | LoadAction::Same) {
        ledger.install(&attempt, version(name), answers);
    }
    action
}

#[test]
fn invalidation_is_pending_until_later_load_brings_its_version() {
    let mut ledger = Ledger::default();
    load(&mut ledger, &invalidation(0, None, 0), 1, "v1");
    assert!(ledger.is_settled());
    let first = invalidation(1, Some("v2"), 10);
    ledger.receive(&first, at(11));
    assert_eq!(ledger.pending_since(), Some(at(10)));
    // The source is behind, and a second invalidation comes.
    assert_eq!(load(&mut ledger, &first, 12, "v1"), LoadAction::Same);
    let second = invalidation(2, Some("v3"), 13);
    assert_eq!(load(&mut ledger, &second, 14, "v2"), LoadAction::New);
    assert!(!ledger.is_settled());
    assert_eq!(ledger.pending_since(), Some(at(10)), "the oldest that is not in force");
    assert_eq!(ledger.confirmed(), Some(at(1)));
    assert_eq!(load(&mut ledger, &second, 15, "v3"), LoadAction::New);
    assert!(ledger.is_settled());
    assert_eq!((ledger.pending_since(), ledger.confirmed()), (None, Some(at(15))));
}

#[test]
fn load_does_not_settle_invalidation_received_during_it() {
    let mut ledger = Ledger::default();
    let attempt = ledger.begin(&invalidation(1, Some("v1"), 1), at(2));
    ledger.receive(&invalidation(2, Some("v1"), 3), at(3));
    ledger.install(&attempt, version("v1"), |awaited| awaited == "v1");
    assert_eq!((ledger.in_force(), ledger.is_settled()), (Some(1), false));
    assert_eq!(ledger.pending_since(), Some(at(3)));
}

#[test]
fn replaced_version_needs_a_message_to_come_back() {
    let mut ledger = Ledger::default();
    load(&mut ledger, &invalidation(0, None, 0), 1, "v1");
    load(&mut ledger, &invalidation(1, Some("v2"), 2), 3, "v2");
    assert_eq!(load(&mut ledger, &invalidation(1, Some("v2"), 2), 4, "v1"), LoadAction::Older);
    // A message that names the older version brings it back.
    assert_eq!(load(&mut ledger, &invalidation(2, Some("v1"), 5), 6, "v1"), LoadAction::New);
    assert_eq!(load(&mut ledger, &invalidation(2, Some("v1"), 5), 7, "v2"), LoadAction::Older);
    // After a gap, the order of versions is unknown, so an older one is accepted.
    assert_eq!(load(&mut ledger, &invalidation(3, None, 8), 9, "v2"), LoadAction::New);
    assert_eq!(
        load(&mut ledger, &invalidation(3, None, 8), 10, "v2"),
        LoadAction::Same,
        "no version counts as replaced"
    );
}

#[test]
fn broken_bundle_is_not_retried_and_confirms_nothing() {
    let mut ledger = Ledger::default();
    load(&mut ledger, &invalidation(0, None, 0), 1, "v1");
    let attempt = ledger.begin(&invalidation(1, Some("v2"), 2), at(3));
    ledger.mark_broken(version("v2"));
    assert!(ledger.is_broken() && !ledger.is_settled());
    assert_eq!(ledger.action(&attempt, &version("v2"), |_| true), LoadAction::KnownBroken);
    assert_eq!(ledger.confirmed(), Some(at(1)));
    load(&mut ledger, &invalidation(1, Some("v2"), 2), 4, "v2b");
    assert!(!ledger.is_broken());
}

#[derive(Clone, Debug)]
enum Step {
    /// The source publishes the next version, and its message is sent.
    Publish,
    /// The message at this position among those in transit arrives. With `true`, it arrives again
    /// later.
    Deliver(usize, bool),
    /// The messages in transit are lost, and the gap is detected.
    Gap,
    Begin,
    /// The running load ends with an error.
    Fail,
    /// The running load ends with a version this many versions behind the newest.
    Answer(usize),
    DoesNotCompile,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Publish),
        4 => (0..4_usize, any::<bool>()).prop_map(|(at, twice)| Step::Deliver(at, twice)),
        1 => Just(Step::Gap),
        5 => Just(Step::Begin),
        2 => Just(Step::Fail),
        5 => (0..3_usize).prop_map(Step::Answer),
        1 => Just(Step::DoesNotCompile),
    ]
}

/// The zone as the revocation state reports it. Versions are in the order of their decisions.
#[derive(Default)]
struct World {
    newest: usize,
    under_way: Vec<usize>,
    generation: u64,
    awaited: Option<usize>,
    unknown: bool,
}

impl World {
    fn invalidation(&self, now: u64) -> PolicyInvalidation {
        let awaited = self.awaited.filter(|_| !self.unknown).map(|n| format!("v{n}"));
        invalidation(self.generation, awaited.as_deref(), now)
    }

    fn deliver(&mut self, version: usize) {
        self.generation += 1;
        if self.awaited.is_none_or(|awaited| awaited <= version) {
            self.awaited = Some(version);
            self.unknown = false;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn newest_version_is_in_force_after_source_recovers(
        steps in prop::collection::vec(step(), 0..80),
        late in 0..3_usize,
    ) {
        let (mut world, mut ledger, mut now) = (World::default(), Ledger::default(), 0);
        let mut attempt: Option<Attempt> = None;
        // The versions received or loaded, and those of them that a message has replaced.
        let (mut known, mut replaced) = (BTreeSet::new(), BTreeSet::new());
        for step in steps {
            now += 1;
            match step {
                Step::Publish => {
                    world.newest += 1;
                    world.under_way.push(world.newest);
                }
                Step::Deliver(at, twice) if at < world.under_way.len() => {
                    let version = world.under_way[at];
                    if !twice {
                        world.under_way.remove(at);
                    }
                    world.deliver(version);
                    ledger.receive(&world.invalidation(now), self::at(now));
                    known.extend(world.awaited.filter(|_| !world.unknown));
                }
                Step::Gap => {
                    replaced.clear();
                    world.under_way.clear();
                    world.generation += 1;
                    world.unknown = true;
                    ledger.receive(&world.invalidation(now), self::at(now));
                }
                Step::Begin => {
                    let invalidation = world.invalidation(now);
                    attempt.get_or_insert_with(|| ledger.begin(&invalidation, self::at(now)));
                }
                Step::Fail => attempt = None,
                Step::Answer(behind) => {
                    let Some(begun) = attempt.take() else { continue };
                    let n = world.newest.saturating_sub(behind);
                    let name = format!("v{n}");
                    let answers = |awaited: &str| awaited == name;
                    let action = ledger.action(&begun, &version(&name), answers);
                    if matches!(action, LoadAction::New | LoadAction::Same) {
                        ledger.install(&begun, version(&name), answers);
                        prop_assert!(!replaced.contains(&n), "v{n} came back");
                        known.insert(n);
                        // The version that a message names replaces all versions known before,
                        // unless a later message may be lost.
                        let is_awaited = begun.awaited.as_deref() == Some(&*name);
                        if begun.pending && is_awaited && !world.unknown {
                            replaced.extend(known.range(..n).copied());
                        }
                    }
                }
                Step::DoesNotCompile => {
                    let Some(begun) = attempt.take() else { continue };
                    let broken = Version { digest: "x".into(), ..version("broken") };
                    if ledger.action(&begun, &broken, |_| false) == LoadAction::New {
                        ledger.mark_broken(broken);
                    }
                }
                Step::Deliver(..) => {}
            }
        }
        // A load that began before ends with an older version. Then the source recovers, every
        // message arrives, and loads continue while one is due. A safety poll is always due.
        if let Some(begun) = attempt {
            let late = version(&format!("v{}", world.newest.saturating_sub(late)));
            let answers = |awaited: &str| awaited == &*late.version;
            if matches!(ledger.action(&begun, &late, answers), LoadAction::New | LoadAction::Same) {
                ledger.install(&begun, late.clone(), answers);
            }
        }
        for version in std::mem::take(&mut world.under_way) {
            world.deliver(version);
        }
        let mut polled = false;
        for _ in 0..4 {
            let invalidation = world.invalidation(now);
            ledger.receive(&invalidation, at(now));
            if ledger.is_settled() && polled {
                break;
            }
            polled = true;
            now += 1;
            load(&mut ledger, &invalidation, now, &format!("v{}", world.newest));
        }
        prop_assert!(ledger.is_settled());
        prop_assert_eq!(ledger.pending_since(), None);
        let current = ledger.current.as_ref().map(|current| current.version.to_string());
        prop_assert_eq!(current, Some(format!("v{}", world.newest)));
    }
}
