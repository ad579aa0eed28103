//! A schedule of faults: a pure function of its seed.

use std::time::Duration;

use clap::ValueEnum;
use fastrand::Rng;

use crate::fault::{Ending, Fault, Kind, Whom};

/// What one run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub seed: u64,
    pub readers: usize,
    /// How stale a reader's view may be.
    pub bound: Duration,
    /// Whether readers take for lost whatever cannot be shown.
    pub strict: bool,
    /// Whether readers also read a second source of truth.
    pub baseline: bool,
    /// Whether readers keep what they know over a restart.
    pub snapshot: bool,
    /// Whether revocations travel on all three streams that carry them, or on one alone.
    pub spread: bool,
    pub steps: Vec<Step>,
}

/// Faults that are injected at the same time, after a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub pause: Duration,
    pub faults: Vec<Fault>,
}

/// What shapes a schedule beside its seed.
#[derive(Clone, Debug)]
pub struct Frame {
    /// How many steps.
    pub faults: usize,
    /// The kinds to choose from.
    pub kinds: Vec<Kind>,
    /// How readers are run; as the seed says if empty.
    pub with: Vec<Trait>,
}

/// How readers are run, as `--with` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Trait {
    /// With nothing of the others.
    Plain,
    Strict,
    Baseline,
    Snapshot,
}

impl Schedule {
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
        // Long ones come once.
        let mut had: Vec<Kind> = Vec::new();
        let mut size_group = None;
        for _ in 0..frame.faults {
            let mut kinds = frame.kinds.clone();
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
            // A reader that restarts while Redis is in trouble has the worst of both.
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
            // After the first doubt without a baseline, and after the first forged message, every
            // token is denied, for longer than a schedule lasts.
            let doubted =
                |kind: Kind| !baseline && (kind.raises_doubt() || kind.restarts_readers());
            steps.sort_by_key(|step| {
                let any = |is: &dyn Fn(Kind) -> bool| step.faults.iter().any(|f| is(f.kind));
                (any(&Kind::forges), any(&doubted))
            });
        }
        Self { seed, readers, bound, strict, baseline, snapshot, spread, steps }
    }
}

fn fault(rng: &mut Rng, kind: Kind, bound: Duration, readers: usize) -> Fault {
    let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    // As often shorter than the bound, which nobody should notice, as longer.
    let outage =
        if rng.bool() { rng.u64(200..bound - 1_000) } else { rng.u64(bound + 500..bound + 3_000) };
    let lasts = match kind {
        Kind::IdsAhead
        | Kind::Tidy
        | Kind::Forge
        | Kind::Oversized
        | Kind::OutputLimit
        | Kind::CutAnswer => 0,
        Kind::Flush => rng.u64(0..1_500),
        Kind::IdsBehind => rng.u64(500..2_500),
        Kind::Kill | Kind::LoseTail | Kind::LoseAll | Kind::Failover | Kind::LossyFailover => {
            rng.u64(100..3_000)
        }
        Kind::RestartReader => rng.u64(0..1_500),
        Kind::Trim | Kind::Delete => rng.u64(500..2_500),
        Kind::Slow => rng.u64(2_000..5_000),
        Kind::OneWay => rng.u64(bound..bound + 2_500),
        Kind::Freeze | Kind::FreezeReader | Kind::Cut | Kind::Stall | Kind::RotatedKey => outage,
        Kind::SlowLine => rng.u64(bound + 2_000..bound + 4_000),
        Kind::LaggingReplica => rng.u64(bound + 1_500..bound + 3_000),
        Kind::ReusedIds => bound + 1_500,
        Kind::Unprovisioned => rng.u64(1_500..3_500),
    };
    let one = Whom::Reader(rng.usize(..readers));
    let whom = match kind {
        Kind::RestartReader | Kind::FreezeReader | Kind::OutputLimit | Kind::CutAnswer => one,
        Kind::Cut
        | Kind::Stall
        | Kind::OneWay
        | Kind::Slow
        | Kind::Trim
        | Kind::Delete
        | Kind::SlowLine
            if rng.bool() =>
        {
            one
        }
        _ => Whom::Everyone,
    };
    let ending = *pick(rng, &[Ending::Resumes, Ending::Resets, Ending::StaysSilent]);
    let amount = match kind {
        Kind::LoseTail => rng.u64(200..4_000),
        Kind::ReusedIds => rng.u64(500..3_000),
        Kind::Trim => rng.u64(0..3),
        Kind::Delete => rng.u64(1..5),
        Kind::Slow => rng.u64(50..400),
        Kind::Oversized => rng.u64(4_500_000..9_000_000),
        Kind::IdsAhead => *pick(rng, &[2_000, 60_000, 3_600_000, 100_000_000]),
        Kind::IdsBehind => *pick(rng, &[5_000, 3_600_000, 200_000_000]),
        _ => 0,
    };
    Fault { kind, lasts: Duration::from_millis(lasts), whom, ending, amount }
}

fn pick<'t, T>(rng: &mut Rng, from: &'t [T]) -> &'t T {
    &from[rng.usize(..from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame { faults: 8, kinds: Kind::ALL.to_vec(), with: Vec::new() }
    }

    #[test]
    fn a_seed_makes_the_same_schedule_each_time_and_another_seed_another() {
        assert_eq!(Schedule::generate(7, &frame()), Schedule::generate(7, &frame()));
        assert_ne!(Schedule::generate(7, &frame()), Schedule::generate(8, &frame()));
    }

    #[test]
    fn two_hundred_seeds_bring_every_kind_and_never_wipe_twice() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..200 {
            let schedule = Schedule::generate(seed, &frame());
            let kinds: Vec<_> =
                schedule.steps.iter().flat_map(|step| &step.faults).map(|f| f.kind).collect();
            assert!(kinds.iter().filter(|kind| kind.wipes()).count() <= 1);
            for long in Kind::ALL.iter().filter(|kind| kind.is_long()) {
                assert!(kinds.iter().filter(|kind| *kind == long).count() <= 1);
            }
            seen.extend(kinds);
        }
        assert_eq!(seen.len(), Kind::ALL.len());
    }
}
