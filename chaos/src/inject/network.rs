//! Faults of the network between readers and Redis.

use std::time::Duration;

use super::{Outcome, affected_readers};
use crate::fault::{Ending, Fault};
use crate::history::GapScope;
use crate::proxy::Link;
use crate::time::At;
use crate::world::World;

/// The delay of each reply: shorter than a reader's timeout.
const LATE: Duration = Duration::from_millis(800);

pub(super) async fn cut(world: &World, fault: &Fault, began: At) -> Outcome {
    let before = reset(world, fault);
    affected_readers(world, fault).for_each(|reader| reader.links.set(Link::Cut));
    tokio::time::sleep(fault.lasts).await;
    let ended = open(world, fault);
    let cut = reset(world, fault) - before;
    over(began, ended, (cut > 0).then(|| format!("{cut} connections reset")))
}

pub(super) async fn stall(world: &World, fault: &Fault, began: At) -> Outcome {
    let before = held(world, fault);
    let alive: usize = affected_readers(world, fault).map(|reader| reader.links.alive()).sum();
    affected_readers(world, fault).for_each(|reader| reader.links.set(Link::Stalled));
    tokio::time::sleep(fault.lasts).await;
    let ended = match fault.ending {
        Ending::Resumes => open(world, fault),
        Ending::Resets => {
            affected_readers(world, fault).for_each(|reader| reader.links.set(Link::Cut));
            tokio::time::sleep(Duration::from_millis(100)).await;
            open(world, fault)
        }
        Ending::StaysSilent => {
            affected_readers(world, fault).for_each(|reader| reader.links.open_for_new());
            world.clock.now()
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

/// Delivers the reply to an earlier read late. Messages published in the meantime are not in it, so
/// it proves nothing about them.
pub(super) async fn one_way(world: &World, fault: &Fault, began: At) -> Outcome {
    let before = held(world, fault);
    let set = |link| affected_readers(world, fault).for_each(|reader| reader.links.set(link));
    set(Link::Stalled);
    tokio::time::sleep(LATE).await;
    set(Link::OneWay);
    tokio::time::sleep(fault.lasts).await;
    set(Link::Cut);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ended = open(world, fault);
    let held = held(world, fault) - before;
    over(began, ended, (held > 0).then(|| format!("{held} pieces of data held")))
}

pub(super) async fn slow(world: &World, fault: &Fault, began: At) -> Outcome {
    let before = held(world, fault);
    let link = Link::Slow(Duration::from_millis(fault.amount));
    affected_readers(world, fault).for_each(|reader| reader.links.set(link));
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
    let disturbs = effect.is_some();
    Outcome { began, ended, scope: None, disturbs, gap: GapScope::Nobody, effect }
}

/// Opens the links again, and returns the time.
pub(super) fn open(world: &World, fault: &Fault) -> At {
    affected_readers(world, fault).for_each(|reader| reader.links.set(Link::Open));
    world.clock.now()
}

pub(super) fn reset(world: &World, fault: &Fault) -> u64 {
    affected_readers(world, fault).map(|reader| reader.links.reset()).sum()
}

fn held(world: &World, fault: &Fault) -> u64 {
    affected_readers(world, fault).map(|reader| reader.links.held()).sum()
}
