//! Faults of the primary: it is killed, frozen, or replaced by its replica.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use caracal_revocation::wire::Stream;
use redis::aio::MultiplexedConnection;

use super::Outcome;
use super::waiting::{denies, wait_for_revocations};
use crate::append_only_file::EntryId;
use crate::failure::Failure;
use crate::fault::{Ending, Fault, Kind};
use crate::history::{GapScope, Lost};
use crate::message::parse_id;
use crate::proxy::Link;
use crate::server::{answers, connect};
use crate::time::At;
use crate::world::World;

/// Data in transit when a link is cut may still be read for this long.
const IN_TRANSIT: Duration = Duration::from_millis(50);
/// The number of messages that are published while no reader reads.
const UNREAD: usize = 3;
/// The size of twice as many messages in the append-only file.
const UNREAD_BYTES: u64 = 2_500;

pub(super) async fn kill(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let mut fleet = world.fleet.lock().await;
    let servers = fleet.pair()?;
    let began =
        if fault.kind != Kind::Kill { leave_unread(world, fault, began).await } else { began };
    servers.primary.kill()?;
    let was_down = !servers.primary.answers().await;
    tokio::time::sleep(fault.lasts).await;
    let entries = servers.primary.entries()?.len();
    // The unread messages, and some of those that were read.
    let least = if fault.ending == Ending::Resumes { UNREAD_BYTES } else { 0 };
    let (taken, gone) = match fault.kind {
        Kind::LoseTail => {
            let bytes = servers.primary.lose_tail(fault.amount.max(least))?;
            let gone = entries - servers.primary.entries()?.len();
            (format!(", {bytes} bytes of the file gone with {gone} entries"), gone)
        }
        Kind::LoseAll => {
            servers.primary.lose_all()?;
            (", all files gone".to_owned(), entries)
        }
        _ => (String::new(), 0),
    };
    // Nothing is acknowledged while it is down.
    let restarted = world.clock.now();
    servers.primary.restart(None).await?;
    open_links(world);
    let ended = world.clock.now();
    let lost = world.record_losses(restarted, began, Lost::ByServer).await?;
    let loses = fault.kind != Kind::Kill;
    let has_effect = was_down && (!loses || lost > 0);
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs: true,
        gap: gap(lost + gone),
        effect: has_effect.then(|| format!("was down{taken}, {lost} revocations lost")),
    })
}

pub(super) async fn freeze(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let mut fleet = world.fleet.lock().await;
    let servers = fleet.pair()?;
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
    let mut fleet = world.fleet.lock().await;
    let servers = fleet.pair()?;
    servers.in_step().await?;
    let loses = fault.kind == Kind::LossyFailover;
    let began;
    if loses {
        servers.cut_replication();
        wait_for_revocations(world, world.clock.now(), 3).await;
        began = leave_unread(world, fault, world.clock.now()).await;
        servers.primary.kill()?;
    } else {
        let _gate = world.gate.write().await;
        let mut connection = connect(servers.primary.address()).await?;
        redis::cmd("WAIT").arg(1).arg(900).exec_async(&mut connection).await?;
        began = world.clock.now();
        servers.primary.kill()?;
    }
    tokio::time::sleep(fault.lasts).await;
    let gone = missing_on(servers.replica(), &servers.primary.entries()?).await?;
    let promoted = world.clock.now();
    let old = world.primary();
    let new = servers.promote().await?;
    for reader in &world.readers {
        reader.links.turn_to(new);
    }
    open_links(world);
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
        gap: gap(lost + gone),
        effect: has_effect.then(|| {
            format!("from port {} to {}, {lost} revocations lost", old.port(), new.port())
        }),
    })
}

/// In a third of the faults, lets every reader read the newest message, and none of a few more. A
/// loss of all of them is then one that every reader can detect, and that only the horizon covers.
/// Returns the time after which readers read nothing.
async fn leave_unread(world: &World, fault: &Fault, began: At) -> At {
    if fault.ending != Ending::Resumes {
        return began;
    }
    let Some(newest) = world.truth.newest() else { return began };
    for reader in &world.readers {
        denies(world, reader, newest.token).await;
    }
    let began = world.clock.now();
    world.readers.iter().for_each(|reader| reader.links.set(Link::Cut));
    tokio::time::sleep(IN_TRANSIT).await;
    wait_for_revocations(world, world.clock.now(), UNREAD).await;
    began
}

fn open_links(world: &World) {
    world.readers.iter().for_each(|reader| reader.links.set(Link::Open));
}

/// Returns the readers that may detect a gap after this many entries were lost.
pub(super) fn gap(lost: usize) -> GapScope {
    if lost > 0 { GapScope::Everyone } else { GapScope::Nobody }
}

/// Returns how many of these entries a replica lacks.
pub(super) async fn missing_on(replica: SocketAddr, entries: &[EntryId]) -> Result<usize, Failure> {
    let mut connection = connect(replica).await?;
    let mut last = HashMap::new();
    for stream in Stream::ALL {
        last.insert(stream.name(), last_id(&mut connection, stream.name()).await);
    }
    let is_missing = |(stream, id): &&EntryId| {
        last.get(stream.as_str()).is_some_and(|last| last.is_none_or(|last| last < *id))
    };
    Ok(entries.iter().filter(is_missing).count())
}

/// Returns the last id of a stream, or `None` if the server does not have the stream.
async fn last_id(connection: &mut MultiplexedConnection, stream: &str) -> Option<(u64, u64)> {
    let mut command = redis::cmd("XINFO");
    command.arg("STREAM").arg(stream);
    let info: HashMap<String, redis::Value> = command.query_async(connection).await.ok()?;
    parse_id(&redis::from_redis_value_ref::<String>(info.get("last-generated-id")?).ok()?)
}
