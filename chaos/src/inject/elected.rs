//! Faults of sentinels and of a cluster: a master is gone and its replica takes over, a partition, a
//! slot that moves.

use std::time::Duration;

use caracal_revocation::wire::Stream;
use redis::Value;

use super::server::{gap, missing_on};
use super::waiting::wait_for_revocations;
use super::{Outcome, affected_readers, network};
use crate::elected::{Elected, FIRST, OTHERS};
use crate::failure::Failure;
use crate::fault::{Ending, Fault};
use crate::history::{GapScope, Lost};
use crate::proxy::Link;
use crate::publishers::publish_as;
use crate::server::{RedisServer, connect};
use crate::setup::Setup;
use crate::time::At;
use crate::world::World;

/// The number of messages that are written while a server is cut off or a slot moves.
const WRITTEN: usize = 3;

/// A partition lasts this much longer than the bound.
const BEYOND: Duration = Duration::from_secs(1);

/// Kills the master of `sessions.revoke` in a burst of messages. In a third of the faults, its
/// replica has none of them.
pub(super) async fn lose_master(world: &World, fault: &Fault) -> Result<Outcome, Failure> {
    let mut fleet = world.fleet.lock().await;
    let fleet = fleet.elected()?;
    fleet.in_step().await?;
    let is_behind = fault.ending == Ending::Resumes;
    if is_behind {
        fleet.replica.freeze();
        kill_clients(&fleet.home, &["TYPE", "REPLICA"]).await?;
    }
    for _ in 0..fault.amount {
        let _gate = world.gate.read().await;
        publish_as(world, Stream::SessionsRevoke, "*").await?;
    }
    let began = world.clock.now();
    fleet.home.kill()?;
    if is_behind {
        fleet.replica.thaw();
    }
    take_over(world, fleet, began).await
}

/// Freezes the master of `sessions.revoke` until its replica has taken over. It then still believes
/// that it is the master.
pub(super) async fn freeze_master(world: &World) -> Result<Outcome, Failure> {
    let mut fleet = world.fleet.lock().await;
    let fleet = fleet.elected()?;
    fleet.in_step().await?;
    let began = world.clock.now();
    fleet.home.freeze();
    fleet.wait_for_takeover().await?;
    fleet.home.thaw();
    take_over(world, fleet, began).await
}

/// Waits until the replica has taken over, and makes the previous master its replica.
async fn take_over(world: &World, fleet: &mut Elected, began: At) -> Result<Outcome, Failure> {
    fleet.wait_for_takeover().await?;
    let ended = world.clock.now();
    let effect = switch(world, fleet, began).await?;
    fleet.rejoin().await?;
    Ok(Outcome { ended, ..effect })
}

/// Leads publishers to the replica, which has taken over, and records what it lacks.
async fn switch(world: &World, fleet: &mut Elected, began: At) -> Result<Outcome, Failure> {
    let (old, new) = (fleet.home.address(), fleet.replica.address());
    let (switched, gone) = {
        let _gate = world.gate.write().await;
        let gone = missing_on(new, &fleet.home.entries()?).await?;
        fleet.switch();
        (world.clock.now(), gone)
    };
    let lost = world.record_losses(switched, began, Lost::ByServer).await?;
    Ok(Outcome {
        began,
        ended: switched,
        scope: None,
        disturbs: true,
        gap: gap(lost + gone),
        effect: Some(format!(
            "port {} took over from {}, {lost} revocations lost",
            new.port(),
            old.port()
        )),
    })
}

/// Freezes a master that has no replica. A cluster without it accepts no commands, because not all
/// slots have a master.
pub(super) async fn freeze_other(
    world: &World,
    fault: &Fault,
    began: At,
) -> Result<Outcome, Failure> {
    let mut fleet = world.fleet.lock().await;
    let fleet = fleet.elected()?;
    let other = usize::try_from(fault.amount)?;
    let other = fleet.others.get(other).ok_or("no such master")?;
    other.freeze();
    let hung = !other.answers().await;
    tokio::time::sleep(fault.lasts).await;
    other.thaw();
    fleet.wait_until_up().await?;
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        scope: None,
        disturbs: true,
        gap: GapScope::Nobody,
        effect: hung.then(|| format!("port {} did not answer", other.address().port())),
    })
}

/// Leaves the primary behind, with the readers and one sentinel. The two other sentinels promote the
/// replica. At the end everybody can reach everybody.
pub(super) async fn leave_behind(world: &World) -> Result<Outcome, Failure> {
    let mut fleet = world.fleet.lock().await;
    let fleet = fleet.elected()?;
    fleet.in_step().await?;
    let [_, others @ ..] = &fleet.electors()[..] else { return Err("no sentinel".into()) };
    let there = [others, &[fleet.replica.address()]].concat();
    let began = world.clock.now();
    world.readers.iter().for_each(|reader| reader.links.set_to(&there, Link::Stalled));
    fleet.set_first_sentinel(Link::Stalled);
    block(&fleet.replica, FIRST).await?;
    block(&fleet.home, OTHERS).await?;
    fleet.wait_for_takeover().await?;
    // These are lost: the old primary accepts them, and no replica has them.
    wait_for_revocations(world, world.clock.now(), WRITTEN).await;
    let outcome = switch(world, fleet, began).await?;
    // Beyond the bound, readers must deny everything, although the old primary answers.
    tokio::time::sleep(world.schedule.bound + BEYOND).await;
    for (server, login) in [(&fleet.home, FIRST), (&fleet.replica, OTHERS)] {
        login_is(server, login, "on").await?;
    }
    fleet.set_first_sentinel(Link::Open);
    world.readers.iter().for_each(|reader| reader.links.set(Link::Open));
    let ended = world.clock.now();
    fleet.rejoin().await?;
    Ok(Outcome { ended, ..outcome })
}

/// Puts a server out of reach for the sentinels with this login.
async fn block(server: &RedisServer, login: &str) -> Result<(), Failure> {
    login_is(server, login, "off").await?;
    kill_clients(server, &["USER", login]).await
}

async fn kill_clients(server: &RedisServer, which: &[&str]) -> Result<(), Failure> {
    let mut connection = connect(server.address()).await?;
    let mut command = redis::cmd("CLIENT");
    let _: Value = command.arg("KILL").arg(which).query_async(&mut connection).await?;
    Ok(())
}

async fn login_is(server: &RedisServer, login: &str, state: &str) -> Result<(), Failure> {
    let mut connection = connect(server.address()).await?;
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg(login).arg(state);
    Ok(command.exec_async(&mut connection).await?)
}

/// Cuts readers off from one or two of the three that name the primary.
pub(super) async fn cut_quorum(
    world: &World,
    fault: &Fault,
    began: At,
) -> Result<Outcome, Failure> {
    let mut electors = world.fleet.lock().await.elected()?.electors();
    electors.truncate(usize::try_from(fault.amount)?);
    let before = network::reset(world, fault);
    affected_readers(world, fault).for_each(|reader| reader.links.set_to(&electors, Link::Cut));
    tokio::time::sleep(fault.lasts).await;
    let ended = network::open(world, fault);
    let cut = network::reset(world, fault) - before;
    // Two sentinels are a majority. A master of a cluster also has streams.
    let disturbs = fault.amount > 1 || world.schedule.setup == Setup::Cluster;
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs,
        gap: GapScope::Nobody,
        effect: (cut > 0).then(|| format!("{cut} connections reset")),
    })
}

/// Moves the slot of a stream to another master and back. Messages are published all the time.
pub(super) async fn move_slot(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let mut fleet = world.fleet.lock().await;
    let fleet = fleet.elected()?;
    let stream = *Stream::ALL.get(usize::try_from(fault.amount)?).ok_or("no such stream")?;
    let from = world.owner(stream);
    let to = fleet.electors().into_iter().find(|master| *master != from).ok_or("one master")?;
    for to in [to, from] {
        fleet.begin_move(stream, to).await?;
        wait_for_revocations(world, world.clock.now(), WRITTEN).await;
        fleet.end_move(stream).await?;
        wait_for_revocations(world, world.clock.now(), WRITTEN).await;
    }
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        scope: None,
        disturbs: true,
        gap: GapScope::Nobody,
        effect: Some(format!("{stream} from port {} to {} and back", from.port(), to.port())),
    })
}
