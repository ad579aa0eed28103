//! Additional readers, which a fault starts and ends.

use std::time::Duration;

use fastrand::Rng;
use futures_util::future::select_all;

use super::waiting::wait_for_revocations;
use crate::clients::{Client, REQUEST_EVERY};
use crate::failure::Failure;
use crate::history::Answer;
use crate::readers::Reader;
use crate::world::World;

/// The time limit of the step: longer than the slowest machine needs.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);

/// Sends requests and probes to these readers until the work is done.
pub(super) async fn while_requesting<T>(
    world: &World,
    readers: &[&Reader],
    work: impl Future<Output = T>,
) -> T {
    let sending = readers.iter().map(|reader| async move {
        tokio::select! {
            never = Client::new().keep_requesting(world, reader, Rng::new(), REQUEST_EVERY) => never,
            never = Client::new().keep_probing(world, reader) => never,
        }
    });
    tokio::select! {
        done = work => done,
        (never, ..) = select_all(sending.map(Box::pin)) => match never {},
    }
}

/// Waits until the reader denies the newest revoked token.
pub(super) async fn wait_until_caught_up(world: &World, reader: &Reader) -> Result<(), Failure> {
    wait_for_revocations(world, world.clock.now(), 1).await;
    wait_until_newest_denied(world, reader).await
}

/// Waits until the reader denies the newest revoked token, while publishers are stopped.
pub(super) async fn wait_until_newest_denied(
    world: &World,
    reader: &Reader,
) -> Result<(), Failure> {
    let newest = world.truth.newest().ok_or("nothing was revoked")?;
    let client = Client::new();
    let known = async {
        while client.request(world, reader, newest.token).await != Some(Answer::Revoked) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let known = tokio::time::timeout(KNOWN_WITHIN, known).await;
    known.map_err(|_| "a reader does not catch up".into())
}
