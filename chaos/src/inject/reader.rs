//! Faults of a reader process.

use std::time::Duration;

use caracal_test_support::child_guard::signal;

use super::{Outcome, affected_readers};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::history::GapScope;
use crate::time::At;
use crate::world::World;

pub(super) async fn restart(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let setting = world.setting();
    let mut pids = Vec::new();
    for reader in affected_readers(world, fault) {
        let old = reader.kill(&setting).await?;
        tokio::time::sleep(fault.lasts).await;
        reader.spawn(&setting).await?;
        pids.push((old, reader.pid().await.unwrap_or(old)));
    }
    let is_new = pids.iter().all(|(old, new)| old != new);
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        // The time of a new reader to recover counts from its start, not from the fault.
        scope: None,
        disturbs: false,
        gap: GapScope::Nobody,
        effect: is_new.then(|| {
            pids.iter()
                .map(|(old, new)| format!("pid {old} to {new}"))
                .collect::<Vec<_>>()
                .join(", ")
        }),
    })
}

pub(super) async fn freeze(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let mut pids = Vec::new();
    for reader in affected_readers(world, fault) {
        pids.extend(reader.pid().await);
    }
    pids.iter().try_for_each(|pid| signal(*pid, "-STOP"))?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let stopped = pids.iter().all(|pid| is_stopped(*pid));
    tokio::time::sleep(fault.lasts).await;
    pids.iter().try_for_each(|pid| signal(*pid, "-CONT"))?;
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        scope: None,
        disturbs: true,
        gap: GapScope::Nobody,
        effect: stopped.then(|| "did not run".to_owned()),
    })
}

fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}
