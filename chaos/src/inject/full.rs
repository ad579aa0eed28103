//! A reader whose index has less room than the streams have revocations.

use super::Outcome;
use super::extra_readers::while_requesting;
use super::waiting::wait_for_revocations;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::history::{GapScope, Scope};
use crate::readers::Aim;
use crate::time::At;
use crate::world::World;

/// The room of the index.
const ROOM: usize = 5;
/// The least number of revocations that the streams must have.
const REVOKED: usize = 3 * ROOM;

pub(super) async fn fill(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    wait_for_revocations(world, At(0), REVOKED).await;
    let present = world.truth.acknowledged_between(At(0), world.clock.now()).len();
    let aim = Aim { room: Some(ROOM), is_unprovable: true, ..world.at_primary(false) };
    let mut effect = None;
    let mut number = 0;
    if present >= REVOKED {
        let reader = world.start_reader(aim).await?;
        number = reader.number;
        while_requesting(world, &[&reader], tokio::time::sleep(fault.lasts)).await;
        reader.kill(&world.setting()).await?;
        effect = Some(format!("room for {ROOM} of {present} revocations"));
    }
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        scope: Some(Scope::Reader(number)),
        disturbs: false,
        gap: GapScope::Nobody,
        effect,
    })
}
