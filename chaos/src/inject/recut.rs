//! Signed messages that a writer to Redis has re-cut: their anchor is now a part of another field.

use super::Outcome;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::history::GapScope;
use crate::publishers::revoke_recut;
use crate::time::At;
use crate::world::World;

/// Revokes tokens with messages that name no anchor any more. Readers must notice it.
pub(super) async fn recut(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    for _ in 0..fault.amount {
        let _gate = world.gate.read().await;
        revoke_recut(world).await?;
    }
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        scope: None,
        disturbs: false,
        gap: GapScope::Everyone,
        effect: Some(format!("{} revocations hidden", fault.amount)),
    })
}
