//! Producers sign with a new key before readers know it.

use std::time::Duration;

use super::Outcome;
use crate::failure::Failure;
use crate::fault::{Ending, Fault};
use crate::history::GapScope;
use crate::time::At;
use crate::world::World;

/// The pause between two checks for a message that is signed with the new key.
const AGAIN: Duration = Duration::from_millis(10);
const CHECKS: usize = 300;

/// Rotates the stream key: producers sign with the new key, and a restart gives it to readers. In
/// some schedules, a reader restarts earlier without it. In others, one of the producers still
/// signs with the old key.
pub(super) async fn rotate(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let setting = world.setting();
    world.keys.rotate()?;
    if fault.ending != Ending::StaysSilent {
        world.keys.rotate_late();
    }
    let rotated = world.clock.now();
    let (new, _) = world.keys.signing(false);
    let signed = || {
        let revocations = world.truth.acknowledged_between(rotated, world.clock.now());
        revocations.iter().filter(|revocation| revocation.key == new).count()
    };
    for _ in 0..CHECKS {
        if signed() > 0 {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    if fault.ending == Ending::Resets
        && let Some(reader) = world.readers.first()
    {
        reader.stop(&setting).await?;
        reader.spawn(&setting).await?;
    }
    tokio::time::sleep(fault.lasts).await;
    let unknown = signed();
    world.keys.learn(fault.ending == Ending::Resumes);
    for reader in &world.readers {
        reader.stop(&setting).await?;
        reader.spawn(&setting).await?;
    }
    let ended = world.clock.now();
    world.keys.rotate_late();
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs: false,
        gap: GapScope::Nobody,
        effect: (unknown > 0)
            .then(|| format!("{unknown} revocations signed with a key that readers did not know")),
    })
}
