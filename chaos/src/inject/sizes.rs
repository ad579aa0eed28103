//! Large messages of an attacker without a key, and replies that do not arrive whole.

use std::time::Duration;

use caracal_revocation::wire::Stream;
use fastrand::Rng;

use super::extra_readers::wait_until_caught_up;
use super::network::{open, reset};
use super::{Outcome, affected_readers};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::history::{GapScope, Scope};
use crate::proxy::Link;
use crate::server::connect;
use crate::time::At;
use crate::world::World;

/// The size of one entry. Only a reply with many of them is large.
const PIECE: usize = 48 << 10;
const PIECES: usize = 64;
/// The size up to which replies arrive: they can have some of the entries.
const ANSWER: u64 = 256 << 10;
/// Bytes a second on the slow link. The large message takes half a second.
const RATE: u64 = 4 << 20;
const HEAD: usize = 2 << 20;
/// The longest time that the first read takes. The large message arrives three times: as an entry,
/// and as the first and the last entry in the reply with the counters.
const READ_ONCE: Duration = Duration::from_millis(2_000);
/// The streams on which nothing else is published. Every reply with their counters contains their
/// first entry.
const QUIET: [Stream; 2] = [Stream::KeysInvalidate, Stream::PolicyInvalidate];

/// Adds one large message at the start of a quiet stream.
pub(super) async fn oversized(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let stream = QUIET[usize::from(fault.amount % 2 == 1)];
    let size = usize::try_from(fault.amount)?;
    add(world, stream, size, 1).await?;
    let effect = Some(format!("{size} bytes on {}", stream.name()));
    Ok(Outcome { disturbs: false, ..over(world, began, effect) })
}

/// Lets the server close connections with a large reply, while a reader reads everything.
pub(super) async fn output_limit(
    world: &World,
    fault: &Fault,
    began: At,
) -> Result<Outcome, Failure> {
    add(world, Stream::SessionsRevoke, PIECE, PIECES).await?;
    let mut fleet = world.fleet.lock().await;
    let servers = fleet.pair()?;
    let before = servers.primary.closed_for_size()?;
    limit(world, ANSWER).await?;
    restart(world, fault).await?;
    let closed = servers.primary.closed_for_size()? - before;
    limit(world, 0).await?;
    let effect = (closed > 0).then(|| format!("{closed} connections closed by the server"));
    // The limit applies to every reader.
    Ok(Outcome { scope: Some(Scope::Everyone), ..over(world, began, effect) })
}

/// Lets the proxy reset connections with a large reply, while a reader reads everything.
pub(super) async fn cut_answer(
    world: &World,
    fault: &Fault,
    began: At,
) -> Result<Outcome, Failure> {
    add(world, Stream::SessionsRevoke, PIECE, PIECES).await?;
    let before = reset(world, fault);
    affected_readers(world, fault).for_each(|reader| reader.links.set(Link::Capped(ANSWER)));
    restart(world, fault).await?;
    let cut = reset(world, fault) - before;
    open(world, fault);
    Ok(over(world, began, (cut > 0).then(|| format!("{cut} connections reset during a reply"))))
}

/// Adds a large message on a slow link. After it is read, the link is fast enough for the rest.
pub(super) async fn slow_line(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    affected_readers(world, fault).for_each(|reader| reader.links.set(Link::Throttled(RATE)));
    add(world, *Rng::new().choice(&QUIET).unwrap_or(&QUIET[0]), HEAD, 1).await?;
    tokio::time::sleep(READ_ONCE).await;
    let outcome = over(world, began, Some(format!("{HEAD} bytes at {RATE} bytes/s")));
    tokio::time::sleep(fault.lasts).await;
    open(world, fault);
    Ok(outcome)
}

/// Adds messages that no key has signed.
async fn add(world: &World, stream: Stream, size: usize, count: usize) -> Result<(), Failure> {
    let mut connection = connect(world.primary()).await?;
    let noise = vec![b'.'; size];
    for _ in 0..count {
        redis::cmd("XADD")
            .arg(stream.name())
            .arg(world.next_id())
            .arg("noise")
            .arg(&noise)
            .exec_async(&mut connection)
            .await?;
    }
    Ok(())
}

async fn limit(world: &World, bytes: u64) -> Result<(), Failure> {
    let mut connection = connect(world.primary()).await?;
    redis::cmd("CONFIG")
        .arg(&["SET", "client-output-buffer-limit", &format!("normal {bytes} 0 0")])
        .exec_async(&mut connection)
        .await
        .map_err(Failure::from)
}

/// Restarts the affected readers, and waits until they have caught up.
async fn restart(world: &World, fault: &Fault) -> Result<(), Failure> {
    let setting = world.setting();
    for reader in affected_readers(world, fault) {
        reader.kill(&setting).await?;
        reader.spawn(&setting).await?;
        wait_until_caught_up(world, reader).await?;
    }
    Ok(())
}

fn over(world: &World, began: At, effect: Option<String>) -> Outcome {
    let ended = world.clock.now();
    Outcome { began, ended, scope: None, disturbs: true, gap: GapScope::Nobody, effect }
}
