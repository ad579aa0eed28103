//! A replica that lags, and readers that follow it.

use std::time::Duration;

use super::Outcome;
use super::extra_readers::{wait_until_caught_up, while_requesting};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::history::{GapScope, Scope};
use crate::links::Place;
use crate::readers::Aim;
use crate::world::World;

/// The replica's link carries this many bytes a second.
const RATE: u64 = 1 << 20;
/// The burst would take this much longer than the fault lasts.
const SPARE: Duration = Duration::from_secs(2);
/// The time within which readers recover, and their answers show it.
const RECOVERED: Duration = Duration::from_millis(2_500);

/// Sends a burst of data, which delays later messages although bytes keep arriving at the replica.
pub(super) async fn lag(world: &World, fault: &Fault) -> Result<Outcome, Failure> {
    let mut fleet = world.fleet.lock().await;
    let servers = fleet.pair()?;
    servers.in_step().await?;
    let replica = Aim::at(Place::Server(servers.replica(), 0), false);
    let provable = Aim { primary: Some(world.primary()), ..replica.clone() };
    let provable = world.start_reader(provable).await?;
    let unprovable = world.start_reader(Aim { is_unprovable: true, ..replica }).await?;
    let work = async {
        wait_until_caught_up(world, &provable).await?;
        let began = {
            let _gate = world.gate.write().await;
            servers.throttle_replication(RATE);
            let began = world.clock.now();
            let burst = RATE as f64 * (fault.lasts + SPARE).as_secs_f64();
            servers.write_noise(burst as u64).await?;
            began
        };
        tokio::time::sleep(fault.lasts).await;
        let behind = servers.bytes_behind().await?;
        servers.open_replication();
        servers.in_step().await?;
        let ended = world.clock.now();
        tokio::time::sleep(RECOVERED).await;
        Ok::<_, Failure>((began, ended, behind))
    };
    let (began, ended, behind) = while_requesting(world, &[&provable, &unprovable], work).await?;
    let setting = world.setting();
    provable.kill(&setting).await?;
    unprovable.kill(&setting).await?;
    Ok(Outcome {
        began,
        ended,
        scope: Some(Scope::Reader(provable.number)),
        disturbs: true,
        gap: GapScope::Nobody,
        effect: (behind > 0).then(|| format!("{behind} bytes behind at the end")),
    })
}
