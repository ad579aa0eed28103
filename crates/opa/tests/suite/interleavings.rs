//! After the source recovers, no order of loads, invalidations and errors leaves an older version
//! in force. The test runs the whole crate with a real state and random steps.

use std::time::Duration;

use caracal_revocation_opa::{PolicyBundle, ZonePolicies};
use caracal_test_support::opa::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// The source moves to the next version; a message about it is sent.
    Publish,
    /// Delivers the message at this index of those sent, and keeps it if `true`.
    Deliver(usize, bool),
    /// The sent messages are lost, and the gap is detected.
    Gap,
    Source(Behaviour),
    Refresh,
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Good,
    /// The source returns a version this many versions old.
    Behind(u64),
    Fails,
    Panics,
    Hangs,
    /// The bundle does not compile (`Broken`) or has another digest (`Forged`).
    Broken,
    Forged,
    Empty,
}

fn step() -> impl Strategy<Value = Step> {
    let behaviour = prop_oneof![
        3 => Just(Behaviour::Good),
        3 => (1..4_u64).prop_map(Behaviour::Behind),
        2 => Just(Behaviour::Fails),
        1 => Just(Behaviour::Panics),
        1 => Just(Behaviour::Hangs),
        1 => Just(Behaviour::Broken),
        1 => Just(Behaviour::Forged),
        1 => Just(Behaviour::Empty),
    ];
    prop_oneof![
        3 => Just(Step::Publish),
        4 => (0..4_usize, any::<bool>()).prop_map(|(at, twice)| Step::Deliver(at, twice)),
        1 => Just(Step::Gap),
        5 => behaviour.prop_map(Step::Source),
        2 => Just(Step::Refresh),
        5 => prop_oneof![Just(0), 1..200_u64, 1_000..70_000_u64].prop_map(Step::Wait),
    ]
}

struct World {
    script: Script,
    newest: u64,
    under_way: Vec<u64>,
    behaviour: Behaviour,
    /// `true` after a change that no message will announce.
    unannounced: bool,
}

impl World {
    fn answer(&mut self) {
        self.unannounced |= matches!(self.behaviour, Behaviour::Empty);
        let script = &self.script;
        script.panics(false);
        script.opens();
        match self.behaviour {
            Behaviour::Good => script.holds(good(self.newest)),
            Behaviour::Behind(versions) => script.holds(good(self.newest.saturating_sub(versions))),
            Behaviour::Fails => script.fails(),
            Behaviour::Panics => script.panics(true),
            Behaviour::Hangs => drop(script.gate()),
            Behaviour::Broken => script.holds(broken(&format!("v{}", self.newest))),
            Behaviour::Forged => script.holds(good(self.newest).with_digest("0".repeat(64))),
            Behaviour::Empty => script.holds_nothing(),
        }
    }
}

fn good(version: u64) -> PolicyBundle {
    bundle(&format!("v{version}"))
}

async fn walk(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (revocations, clock) = fresh();
    let script = Script::new();
    let policies = ZonePolicies::new(revocations.clone(), script.clone(), Allowing::default());
    let start = revocations.now().wall;
    let deliver = |version: u64| {
        let decided = start + Duration::from_secs(version);
        invalidate_decided(&revocations, &format!("v{version}"), decided);
    };
    let wait = async |millis: u64| {
        clock.advance(Duration::from_millis(millis));
        tokio::time::sleep(Duration::from_millis(millis)).await;
    };
    let behaviour = Behaviour::Good;
    let mut world =
        World { script, newest: 0, under_way: Vec::new(), behaviour, unannounced: false };
    world.answer();
    let _ = policies.decide(input()).await;
    for step in steps {
        match step {
            Step::Publish => {
                world.newest += 1;
                world.under_way.push(world.newest);
                world.answer();
            }
            Step::Deliver(at, twice) if at < world.under_way.len() => {
                deliver(world.under_way[at]);
                if !twice {
                    world.under_way.remove(at);
                }
            }
            Step::Deliver(..) => {}
            Step::Gap => {
                world.under_way.clear();
                world.unannounced = true;
                revocations.reload_all_policies();
            }
            Step::Source(behaviour) => {
                world.behaviour = behaviour;
                world.answer();
            }
            Step::Refresh => {
                let policies = policies.clone();
                tokio::spawn(async move { policies.refresh(ZONE).await });
                tokio::task::yield_now().await;
            }
            Step::Wait(millis) => wait(millis).await,
        }
    }
    world.behaviour = Behaviour::Good;
    world.answer();
    std::mem::take(&mut world.under_way).into_iter().for_each(deliver);
    // Wait for the longest backoff with its jitter. Only the poll finds a lost change, or a policy
    // in a zone that had none.
    wait(if world.unannounced { 80_000 } else { 12_000 }).await;
    let newest = format!("v{}", world.newest);
    let status = status(&policies);
    prop_assert_eq!(status.version.as_deref(), Some(&*newest), "{:?}", &status);
    prop_assert_eq!((status.trouble, status.unusable), (None, None), "{:?}", &status);
    prop_assert_eq!((status.awaited, status.invalidation_age), (None, Duration::ZERO));
    prop_assert_eq!(&*policies.decide(input()).await.unwrap().version, &*newest);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn newest_version_is_in_force_after_the_source_recovers(
        steps in prop::collection::vec(step(), 0..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(walk(steps))?;
    }
}
