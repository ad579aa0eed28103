//! What happens to the network between readers and Redis.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Outcome, hit};
use crate::fault::{Ending, Fault};
use crate::history::Hole;
use crate::proxy::Link;
use crate::time::At;
use crate::world::World;

/// Nobody is told that a connection stays silent: a reader finds out when an answer, or the
/// connection that it began meanwhile, is overdue.
const SILENCE_NOTICED_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn cut(world: &World, fault: &Fault, began: At) -> Outcome {
    let before = reset(world, fault);
    let _ = hit(world, fault).inspect(|reader| reader.proxy.set(Link::Cut)).count();
    tokio::time::sleep(fault.lasts).await;
    let ended = open(world, fault);
    let cut = reset(world, fault) - before;
    over(began, ended, (cut > 0).then(|| format!("{cut} connections reset")))
}

pub(super) async fn stall(world: &World, fault: &Fault, began: At) -> Outcome {
    let before = held(world, fault);
    let alive: usize =
        hit(world, fault).map(|reader| reader.proxy.traffic().alive.load(Ordering::SeqCst)).sum();
    let _ = hit(world, fault).inspect(|reader| reader.proxy.set(Link::Stalled)).count();
    tokio::time::sleep(fault.lasts).await;
    let ended = match fault.ending {
        Ending::Resumes => open(world, fault),
        Ending::Resets => {
            let _ = hit(world, fault).inspect(|reader| reader.proxy.set(Link::Cut)).count();
            tokio::time::sleep(Duration::from_millis(100)).await;
            open(world, fault)
        }
        Ending::StaysSilent => {
            let _ = hit(world, fault).inspect(|reader| reader.proxy.open_for_new()).count();
            world.clock.now().plus(SILENCE_NOTICED_WITHIN)
        }
    };
    let held = held(world, fault) - before;
    let has_effect = alive > 0 && held > 0;
    over(
        began,
        ended,
        has_effect.then(|| format!("{alive} connections, {held} pieces of data held")),
    )
}

pub(super) async fn slow(world: &World, fault: &Fault, began: At) -> Outcome {
    let before = held(world, fault);
    let link = Link::Slow(Duration::from_millis(fault.amount));
    let _ = hit(world, fault).inspect(|reader| reader.proxy.set(link)).count();
    tokio::time::sleep(fault.lasts).await;
    let ended = open(world, fault);
    let held = held(world, fault) - before;
    over(
        began,
        ended,
        (held > 0).then(|| format!("{held} pieces of data {} ms late", fault.amount)),
    )
}

fn over(began: At, ended: At, effect: Option<String>) -> Outcome {
    Outcome { began, ended, disturbs: true, hole: Hole::Nobody, effect }
}

/// Opens the links again; when.
pub(super) fn open(world: &World, fault: &Fault) -> At {
    let _ = hit(world, fault).inspect(|reader| reader.proxy.set(Link::Open)).count();
    world.clock.now()
}

pub(super) fn reset(world: &World, fault: &Fault) -> u64 {
    hit(world, fault).map(|reader| reader.proxy.traffic().reset.load(Ordering::SeqCst)).sum()
}

fn held(world: &World, fault: &Fault) -> u64 {
    hit(world, fault).map(|reader| reader.proxy.traffic().held.load(Ordering::SeqCst)).sum()
}
