//! Waits until publishers or readers have done something.

use std::time::Duration;

use crate::clients::Client;
use crate::history::Answer;
use crate::readers::Reader;
use crate::time::At;
use crate::world::World;

/// Waits for this many more acknowledged revocations, at most for a few seconds.
pub(super) async fn wait_for_revocations(world: &World, since: At, count: usize) {
    for _ in 0..300 {
        if world.truth.acknowledged_between(since, world.clock.now()).len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asks the reader until it denies the token, at most for a few seconds.
pub(super) async fn denies(world: &World, reader: &Reader, token: usize) -> bool {
    let client = Client::new();
    for _ in 0..200 {
        if client.request(world, reader, token).await == Some(Answer::Revoked) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}
