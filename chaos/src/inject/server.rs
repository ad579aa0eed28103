//! Faults of the primary: it is killed, frozen, or replaced by its replica.

use std::time::Duration;

use super::Outcome;
use crate::failure::Failure;
use crate::fault::{Fault, Kind};
use crate::history::{GapScope, Lost};
use crate::server::{answers, connect};
use crate::time::At;
use crate::world::World;

pub(super) async fn kill(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let mut servers = world.servers.lock().await;
    servers.primary.kill()?;
    let was_down = !servers.primary.answers().await;
    tokio::time::sleep(fault.lasts).await;
    let taken = match fault.kind {
        Kind::LoseTail => {
            format!(", {} bytes of the file gone", servers.primary.lose_tail(fault.amount)?)
        }
        Kind::LoseAll => {
            servers.primary.lose_all()?;
            ", all files gone".to_owned()
        }
        _ => String::new(),
    };
    // Nothing is acknowledged while it is down.
    let restarted = world.clock.now();
    servers.primary.restart().await?;
    let ended = world.clock.now();
    let lost = world.record_losses(restarted, began, Lost::ByServer).await?;
    let loses = fault.kind != Kind::Kill;
    let has_effect = was_down && (!loses || lost > 0);
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs: true,
        gap: if lost > 0 || loses { GapScope::Everyone } else { GapScope::Nobody },
        effect: has_effect.then(|| format!("was down{taken}, {lost} revocations lost")),
    })
}

pub(super) async fn freeze(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let servers = world.servers.lock().await;
    servers.primary.freeze();
    let hung = !servers.primary.answers().await;
    tokio::time::sleep(fault.lasts.saturating_sub(Duration::from_millis(300))).await;
    servers.primary.thaw();
    while !servers.primary.answers().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        scope: None,
        disturbs: true,
        gap: GapScope::Nobody,
        effect: hung.then(|| "did not answer a PING".to_owned()),
    })
}

pub(super) async fn fail_over(world: &World, fault: &Fault) -> Result<Outcome, Failure> {
    let mut servers = world.servers.lock().await;
    servers.in_step().await?;
    let loses = fault.kind == Kind::LossyFailover;
    let began;
    if loses {
        servers.cut_replication();
        wait_for_revocations(world, world.clock.now(), 3).await;
        began = world.clock.now();
        servers.primary.kill()?;
    } else {
        let _gate = world.gate.write().await;
        let mut connection = connect(servers.primary.address()).await?;
        redis::cmd("WAIT").arg(1).arg(900).exec_async(&mut connection).await?;
        began = world.clock.now();
        servers.primary.kill()?;
    }
    tokio::time::sleep(fault.lasts).await;
    let promoted = world.clock.now();
    let old = world.primary();
    let new = servers.promote().await?;
    for reader in &world.readers {
        reader.proxy.turn_to(new);
    }
    while !answers(new).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = world.clock.now();
    let lost = world.record_losses(promoted, began, Lost::ByServer).await?;
    servers.replace_replica().await?;
    let has_effect = !loses || lost > 0;
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs: true,
        gap: if lost > 0 || loses { GapScope::Everyone } else { GapScope::Nobody },
        effect: has_effect.then(|| {
            format!("from port {} to {}, {lost} revocations lost", old.port(), new.port())
        }),
    })
}

/// Waits for this many more acknowledged revocations, at most for a few seconds.
pub(super) async fn wait_for_revocations(world: &World, since: At, count: usize) {
    for _ in 0..300 {
        if world.truth.acknowledged_between(since, world.clock.now()).len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
