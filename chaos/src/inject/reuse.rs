//! Ids that a server assigns twice: it lost its newest entries, and its clock was behind.

use std::collections::HashMap;

use caracal_revocation::wire::Stream;

use super::Outcome;
use super::extra_readers::{wait_until_caught_up, wait_until_newest_denied, while_requesting};
use crate::clients::Client;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::history::{GapScope, Lost};
use crate::message::parse_id;
use crate::publishers::publish_as;
use crate::server::connect;
use crate::time::At;
use crate::world::World;

/// A stream's last id, and the number of entries ever added to it.
type Counters = ((u64, u64), u64);

/// Loses entries, and adds as many new ones with ids at or below a snapshot's cursor. The counters
/// then agree with the snapshot.
pub(super) async fn reuse(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let setting = world.setting();
    let reader = world.start_reader(world.at_primary(true)).await?;
    wait_until_caught_up(world, &reader).await?;
    let mut fleet = world.fleet.lock().await;
    let servers = fleet.pair()?;
    let (crashed, ended, lost, reused) = {
        let _gate = world.gate.write().await;
        wait_until_newest_denied(world, &reader).await?;
        reader.stop(&setting).await?;
        let before = counters(world).await?;
        let crashed = world.clock.now();
        servers.primary.kill()?;
        servers.primary.lose_tail(fault.amount)?;
        servers.primary.restart(None).await?;
        let lost = world.record_losses(crashed, crashed, Lost::ByServer).await?;
        let after = counters(world).await?;
        let mut reused = Vec::new();
        for ((stream, (last, added)), (_, (_, added_before))) in after.iter().zip(&before) {
            for _ in *added..*added_before {
                // A server whose clock is behind its last id assigns such ids.
                reused.push(publish_as(world, *stream, &format!("{}-*", last.0)).await?);
            }
            if added < added_before {
                // The clock is right again: the last id is after the snapshot's cursor.
                publish_as(world, *stream, "*").await?;
            }
        }
        (crashed, world.clock.now(), lost, reused)
    };
    // The server's replication id changes once more when the replica reconnects. A reader that
    // started before would then read everything again.
    servers.in_step().await?;
    drop(fleet);
    reader.spawn(&setting).await?;
    while_requesting(world, &[&reader], tokio::time::sleep(fault.lasts)).await;
    for token in reused.iter().flatten() {
        Client::new().request(world, &reader, *token).await;
    }
    reader.kill(&setting).await?;
    Ok(Outcome {
        began: crashed,
        ended,
        scope: None,
        disturbs: true,
        gap: GapScope::Everyone,
        effect: (!reused.is_empty()).then(|| {
            let took = ended.since(began).as_secs_f64();
            let reused = reused.len();
            format!("{lost} revocations lost, {reused} ids assigned again, after {took:.1} s")
        }),
    })
}

async fn counters(world: &World) -> Result<Vec<(Stream, Counters)>, Failure> {
    let mut connection = connect(world.primary()).await?;
    let mut all = Vec::new();
    for stream in Stream::ALL {
        let mut command = redis::cmd("XINFO");
        command.arg("STREAM").arg(stream.name());
        let info: Result<HashMap<String, redis::Value>, _> =
            command.query_async(&mut connection).await;
        // A stream that is gone has no entries.
        let info = info.unwrap_or_default();
        let field = |name: &str| info.get(name).cloned().unwrap_or(redis::Value::Nil);
        let last = redis::from_redis_value::<String>(field("last-generated-id"));
        let last = last.ok().and_then(|id| parse_id(&id)).unwrap_or_default();
        let added = redis::from_redis_value(field("entries-added")).unwrap_or_default();
        all.push((stream, (last, added)));
    }
    Ok(all)
}
