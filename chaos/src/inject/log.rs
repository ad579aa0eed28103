//! Faults of the streams: trimming, deletion, a wipe, wrong ids.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caracal_revocation::wire::{MessageBuilder, Stream};
use redis::aio::MultiplexedConnection;

use super::waiting::{denies, wait_for_revocations};
use super::{Outcome, affected_readers, network};
use crate::failure::Failure;
use crate::fault::{Ending, Fault, Kind};
use crate::history::{GapScope, Lost, Revocation};
use crate::mandates::ZONE;
use crate::proxy::Link;
use crate::server::connect;
use crate::time::At;
use crate::world::World;

const SESSIONS: &str = Stream::SessionsRevoke.name();

/// Removes messages while a reader is cut off and cannot read them.
pub(super) async fn remove_unread(
    world: &World,
    fault: &Fault,
    began: At,
) -> Result<Outcome, Failure> {
    affected_readers(world, fault).for_each(|reader| reader.links.set(Link::Cut));
    // Data in transit at the time of the cut may still be read.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let cut = world.clock.now();
    tokio::time::sleep(fault.lasts).await;
    wait_for_revocations(world, cut, 4).await;
    let (removed, lost): (usize, _) = {
        let _gate = world.gate.write().await;
        let _fleet = world.fleet.lock().await;
        let mut connection = connect(world.primary()).await?;
        let removed = if fault.kind == Kind::Trim {
            command("XTRIM", SESSIONS)
                .arg("MAXLEN")
                .arg(fault.amount)
                .query_async(&mut connection)
                .await?
        } else {
            delete(world, &mut connection, cut, fault.amount).await?
        };
        world.record_losses(world.clock.now(), began, Lost::Removed).await?;
        (removed, unread(world, cut))
    };
    let ended = network::open(world, fault);
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs: true,
        gap: if removed > 0 { GapScope::Everyone } else { GapScope::Nobody },
        effect: (lost > 0).then(|| format!("{lost} revocations removed unread")),
    })
}

async fn delete(
    world: &World,
    connection: &mut MultiplexedConnection,
    since: At,
    count: u64,
) -> Result<usize, Failure> {
    let unread = world.truth.acknowledged_between(since, world.clock.now());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let ids = unread
        .iter()
        .filter(|revocation| is_on_sessions(revocation))
        .filter_map(|revocation| revocation.id.as_ref());
    let mut delete = command("XDEL", SESSIONS);
    let mut any = false;
    for id in ids.take(count) {
        delete.arg(id);
        any = true;
    }
    if any { Ok(delete.query_async(connection).await?) } else { Ok(0) }
}

/// Returns how many revocations were published since then and are lost.
fn unread(world: &World, since: At) -> usize {
    let record = world.truth.record();
    let revocations = record.revocations.iter().filter(|revocation| revocation.loss.is_some());
    revocations.filter(|revocation| revocation.acked.is_some_and(|acked| acked > since)).count()
}

fn is_on_sessions(revocation: &Revocation) -> bool {
    revocation.what.starts_with("Sessions")
}

/// Runs FLUSHALL. Later, in some schedules, provisions the streams again.
pub(super) async fn flush(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let wiped = wipe(world, began).await?;
    let ended = world.clock.now();
    tokio::time::sleep(fault.lasts).await;
    provision_again(world, fault).await?;
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs: false,
        gap: GapScope::Everyone,
        effect: (wiped > 0).then(|| format!("{wiped} revocations wiped")),
    })
}

async fn wipe(world: &World, began: At) -> Result<usize, Failure> {
    let _gate = world.gate.write().await;
    let _fleet = world.fleet.lock().await;
    let mut connection = connect(world.primary()).await?;
    redis::cmd("FLUSHALL").exec_async(&mut connection).await?;
    world.record_losses(world.clock.now(), began, Lost::Wiped).await
}

/// Provisions the streams in some schedules only: in production this step may be forgotten.
async fn provision_again(world: &World, fault: &Fault) -> Result<(), Failure> {
    if fault.ending == Ending::Resumes { world.provision().await } else { Ok(()) }
}

/// Moves the last id ahead, as after a clock that jumped ahead and back. Later ids continue from
/// it.
pub(super) async fn ids_ahead(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let id = format!("{}-0", now + u128::from(fault.amount));
    let mut connection = connect(world.primary()).await?;
    if fault.ending == Ending::Resumes {
        let message = MessageBuilder::revoke(ZONE, "chaos").session("nobody");
        let mut add = command("XADD", SESSIONS);
        add.arg(&id);
        for (name, value) in
            message.into_fields(Some(&world.keys.signing(false).1), SystemTime::now())
        {
            add.arg(name).arg(value);
        }
        // A second jump may be shorter than the first: then Redis rejects the id.
        let _ = add.exec_async(&mut connection).await;
    } else {
        let _ = command("XSETID", SESSIONS).arg(&id).exec_async(&mut connection).await;
    }
    let last = last_id(&mut connection).await?;
    let is_ahead =
        last.split('-').next().is_some_and(|ms| ms.parse().is_ok_and(|ms: u128| ms > now));
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        scope: None,
        disturbs: false,
        gap: GapScope::Nobody,
        effect: is_ahead.then(|| format!("last id {last}")),
    })
}

/// Wipes the streams. The ids after that come from a clock that is behind.
pub(super) async fn ids_behind(
    world: &World,
    fault: &Fault,
    began: At,
) -> Result<Outcome, Failure> {
    world.clock_behind.store(fault.amount, Ordering::SeqCst);
    let wiped = wipe(world, began).await?;
    let ended = world.clock.now();
    wait_for_revocations(world, ended, 3).await;
    tokio::time::sleep(fault.lasts).await;
    let mut connection = connect(world.primary()).await?;
    let last = last_id(&mut connection).await;
    world.clock_behind.store(0, Ordering::SeqCst);
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs: false,
        gap: GapScope::Everyone,
        effect: last.ok().map(|last| format!("{wiped} revocations wiped, ids up to {last}")),
    })
}

async fn last_id(connection: &mut MultiplexedConnection) -> Result<String, Failure> {
    let entries: Vec<(String, Vec<Vec<u8>>)> = command("XREVRANGE", SESSIONS)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query_async(connection)
        .await?;
    let info: std::collections::HashMap<String, redis::Value> =
        redis::cmd("XINFO").arg("STREAM").arg(SESSIONS).query_async(connection).await?;
    let last = info.get("last-generated-id").map(redis::from_redis_value_ref::<String>);
    match last {
        Some(Ok(id)) => Ok(id),
        _ => entries.into_iter().next().map(|(id, _)| id).ok_or_else(|| "no id".into()),
    }
}

/// Trims messages that every reader has read. No reader may be affected.
pub(super) async fn tidy(world: &World, began: At) -> Result<Outcome, Failure> {
    let settled = began.minus(Duration::from_millis(300));
    let revocations = world.truth.acknowledged_between(At(0), settled);
    let Some(newest) = revocations.iter().rfind(|revocation| is_on_sessions(revocation)) else {
        return Ok(harmless(world, began, None));
    };
    for reader in &world.readers {
        if !denies(world, reader, newest.token).await {
            return Ok(harmless(world, began, None));
        }
    }
    let _gate = world.gate.write().await;
    let _fleet = world.fleet.lock().await;
    let mut connection = connect(world.primary()).await?;
    let id = newest.id.as_deref().unwrap_or("0");
    let trimmed: usize =
        command("XTRIM", SESSIONS).arg("MINID").arg(id).query_async(&mut connection).await?;
    world.record_losses(world.clock.now(), began, Lost::Removed).await?;
    Ok(harmless(world, began, (trimmed > 0).then(|| format!("{trimmed} messages trimmed"))))
}

fn harmless(world: &World, began: At, effect: Option<String>) -> Outcome {
    Outcome {
        began,
        ended: world.clock.now(),
        scope: None,
        disturbs: false,
        gap: GapScope::Newcomers,
        effect,
    }
}

fn command(name: &str, stream: &str) -> redis::Cmd {
    let mut command = redis::cmd(name);
    command.arg(stream);
    command
}
