//! A schedule of faults: a pure function of its seed.

use std::time::Duration;

use clap::ValueEnum;
use fastrand::Rng;

use crate::fault::{Affected, Ending, Fault, Kind};
use crate::setup::Setup;

/// The parameters and the faults of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub seed: u64,
    pub setup: Setup,
    pub readers: usize,
    /// The staleness bound of readers.
    pub bound: Duration,
    /// `true` if readers count everything as lost that is not proven complete.
    pub strict: bool,
    /// `true` if readers also read a baseline.
    pub baseline: bool,
    /// `true` if readers keep a snapshot over a restart.
    pub snapshot: bool,
    /// `true` if revocations use all three streams that carry them, instead of one.
    pub spread: bool,
    pub steps: Vec<Step>,
}

/// Faults that are injected at the same time, after a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub pause: Duration,
    pub faults: Vec<Fault>,
}

/// The inputs of a schedule in addition to its seed.
#[derive(Clone, Debug)]
pub struct Frame {
    pub setup: Setup,
    /// The number of steps.
    pub faults: usize,
    /// The kinds to choose from.
    pub kinds: Vec<Kind>,
    /// The options of readers, such as a snapshot; chosen by the seed if empty.
    pub with: Vec<Trait>,
}

/// An option of readers, as `--with` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Trait {
    /// No option.
    Plain,
    Strict,
    Baseline,
    Snapshot,
}

impl Schedule {
    /// Returns `true` if two streams must have no messages but those of a fault. The others have
    /// messages about keys, policies and the delegation epoch too.
    pub fn is_quiet(&self) -> bool {
        let mut faults = self.steps.iter().flat_map(|step| &step.faults);
        faults.any(|fault| fault.kind.size_group().is_some())
    }

    pub fn generate(seed: u64, frame: &Frame) -> Self {
        let mut rng = Rng::with_seed(seed);
        let readers = 3;
        let bound = Duration::from_millis(*pick(&mut rng, &[2_500, 3_000, 4_000]));
        let spread = rng.bool();
        let draw = |rng: &mut Rng, wanted: Trait, of: u8| {
            let drawn = rng.u8(..of) == 0;
            if frame.with.is_empty() { drawn } else { frame.with.contains(&wanted) }
        };
        let strict = draw(&mut rng, Trait::Strict, 4);
        let mut steps: Vec<Step> = Vec::new();
        let mut wiped = false;
        // Long faults occur once in a schedule.
        let mut had: Vec<Kind> = Vec::new();
        let mut size_group = None;
        for _ in 0..frame.faults {
            let mut kinds = frame.kinds.clone();
            kinds.retain(|kind| kind.occurs_in(frame.setup));
            kinds.retain(|kind| !(had.contains(kind) || (wiped && kind.wipes())));
            kinds.retain(|kind| {
                let group = kind.size_group();
                group.is_none() || size_group.is_none() || group == size_group
            });
            if kinds.is_empty() {
                break;
            }
            let kind = *pick(&mut rng, &kinds);
            wiped |= kind.wipes();
            size_group = size_group.or(kind.size_group());
            had.extend(kind.is_long().then_some(kind));
            let mut faults = vec![fault(&mut rng, kind, bound, readers)];
            // A restart of a reader while Redis is unavailable is the worst case.
            if !kind.restarts_readers()
                && kind != Kind::FreezeReader
                && kind != Kind::SlowLine
                && frame.kinds.contains(&Kind::RestartReader)
                && rng.u8(..4) == 0
            {
                faults.push(fault(&mut rng, Kind::RestartReader, bound, readers));
            }
            let pause = Duration::from_millis(rng.u64(300..2_500));
            steps.push(Step { pause, faults });
        }
        let baseline = draw(&mut rng, Trait::Baseline, if strict { 2 } else { 3 });
        let snapshot = draw(&mut rng, Trait::Snapshot, 3);
        if strict {
            // Without a baseline, every token is denied after the first suspected loss, for longer
            // than a schedule lasts. The first forged message has the same result. So these come
            // last.
            let doubted =
                |kind: Kind| !baseline && (kind.raises_doubt() || kind.restarts_readers());
            steps.sort_by_key(|step| {
                let any = |is: &dyn Fn(Kind) -> bool| step.faults.iter().any(|f| is(f.kind));
                (any(&Kind::forges), any(&doubted))
            });
        }
        let setup = frame.setup;
        Self { seed, setup, readers, bound, strict, baseline, snapshot, spread, steps }
    }
}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {} (bound {} ms", self.seed, self.bound.as_millis())?;
        for (is_so, word) in [
            (self.setup == Setup::Sentinel, "sentinels"),
            (self.setup == Setup::Cluster, "cluster"),
            (self.strict, "strict"),
            (self.baseline, "baseline"),
            (self.snapshot, "snapshot"),
        ] {
            if is_so {
                write!(f, ", {word}")?;
            }
        }
        write!(f, "):")?;
        for fault in self.steps.iter().flat_map(|step| &step.faults) {
            write!(f, " {};", fault.kind.label())?;
        }
        Ok(())
    }
}

fn fault(rng: &mut Rng, kind: Kind, bound: Duration, readers: usize) -> Fault {
    let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    // Half of the outages are shorter than the bound, and no reader may be affected by them.
    let outage =
        if rng.bool() { rng.u64(200..bound - 1_000) } else { rng.u64(bound + 500..bound + 3_000) };
    let lasts = match kind {
        Kind::IdsAhead
        | Kind::Tidy
        | Kind::Forge
        | Kind::Oversized
        | Kind::OutputLimit
        | Kind::CutAnswer
        | Kind::Recut
        | Kind::LoseMaster
        | Kind::FreezeMaster
        | Kind::LeftBehind
        | Kind::MoveSlot => 0,
        Kind::Flush => rng.u64(0..1_500),
        Kind::IdsBehind => rng.u64(500..2_500),
        Kind::Kill | Kind::LoseTail | Kind::LoseAll | Kind::Failover | Kind::LossyFailover => {
            rng.u64(100..3_000)
        }
        Kind::RestartReader => rng.u64(0..1_500),
        Kind::Trim | Kind::Delete => rng.u64(500..2_500),
        Kind::Slow => rng.u64(2_000..5_000),
        Kind::OneWay => rng.u64(bound..bound + 2_500),
        Kind::Freeze
        | Kind::FreezeReader
        | Kind::Cut
        | Kind::Stall
        | Kind::RotatedKey
        | Kind::StepClock
        | Kind::FreezeOther
        | Kind::CutQuorum => outage,
        Kind::SlowLine => rng.u64(bound + 2_000..bound + 4_000),
        Kind::LaggingReplica => rng.u64(bound + 1_500..bound + 3_000),
        Kind::ReusedIds | Kind::ForeignSnapshot | Kind::Full => bound + 1_500,
        Kind::Unprovisioned => rng.u64(1_500..3_500),
    };
    let one = Affected::Reader(rng.usize(..readers));
    let affected = match kind {
        Kind::RestartReader
        | Kind::FreezeReader
        | Kind::OutputLimit
        | Kind::CutAnswer
        | Kind::StepClock => one,
        Kind::Cut
        | Kind::Stall
        | Kind::OneWay
        | Kind::Slow
        | Kind::Trim
        | Kind::Delete
        | Kind::SlowLine
        | Kind::CutQuorum
            if rng.bool() =>
        {
            one
        }
        _ => Affected::Everyone,
    };
    let ending = *pick(rng, &[Ending::Resumes, Ending::Resets, Ending::StaysSilent]);
    let amount = match kind {
        Kind::LoseTail => rng.u64(200..4_000),
        Kind::ReusedIds => rng.u64(500..3_000),
        Kind::Trim => rng.u64(0..3),
        Kind::Delete | Kind::Recut => rng.u64(1..5),
        Kind::Slow => rng.u64(50..400),
        Kind::Oversized => rng.u64(4_500_000..9_000_000),
        Kind::IdsAhead => *pick(rng, &[2_000, 60_000, 3_600_000, 100_000_000]),
        Kind::StepClock => rng.u64(500..45_000),
        Kind::IdsBehind => *pick(rng, &[5_000, 3_600_000, 200_000_000]),
        Kind::LoseMaster => rng.u64(0..100),
        Kind::FreezeOther => rng.u64(0..2),
        Kind::CutQuorum => rng.u64(1..3),
        Kind::MoveSlot => rng.u64(0..5),
        _ => 0,
    };
    Fault { kind, lasts: Duration::from_millis(lasts), affected, ending, amount }
}

fn pick<'t, T>(rng: &mut Rng, from: &'t [T]) -> &'t T {
    &from[rng.usize(..from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(setup: Setup) -> Frame {
        Frame { setup, faults: 8, kinds: Kind::ALL.to_vec(), with: Vec::new() }
    }

    #[test]
    fn same_seed_gives_same_schedule() {
        let generate = |seed| Schedule::generate(seed, &frame(Setup::Pair));
        assert_eq!(generate(7), generate(7));
        assert_ne!(generate(7), generate(8));
    }

    #[test]
    fn seeds_cover_every_kind_and_wipe_at_most_once() {
        let mut seen = std::collections::HashSet::new();
        for (seed, setup) in
            (0..200).flat_map(|seed| Setup::value_variants().iter().map(move |setup| (seed, setup)))
        {
            let schedule = Schedule::generate(seed, &frame(*setup));
            let kinds: Vec<_> =
                schedule.steps.iter().flat_map(|step| &step.faults).map(|f| f.kind).collect();
            assert!(kinds.iter().filter(|kind| kind.wipes()).count() <= 1);
            assert!(kinds.iter().all(|kind| kind.occurs_in(*setup)));
            for long in Kind::ALL.iter().filter(|kind| kind.is_long()) {
                assert!(kinds.iter().filter(|kind| *kind == long).count() <= 1);
            }
            seen.extend(kinds);
        }
        assert_eq!(seen.len(), Kind::ALL.len());
    }
}
