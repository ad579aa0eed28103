//! A replica that lags, and readers that follow it.

use std::time::Duration;

use super::Outcome;
use super::apart::{catches_up, while_asked};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::history::{Hole, Scope};
use crate::readers::Aim;
use crate::world::World;

/// The replica's link carries this many bytes a second.
const RATE: u64 = 1 << 20;
/// The burst would take this much longer than the fault lasts.
const SPARE: Duration = Duration::from_secs(2);
/// By this time readers have recovered, and their answers show it.
const RECOVERED: Duration = Duration::from_millis(2_500);

/// A burst of data delays later messages, although bytes keep arriving at the replica.
pub(super) async fn lag(world: &World, fault: &Fault) -> Result<Outcome, Failure> {
    let servers = world.servers.lock().await;
    servers.in_step().await?;
    let replica = Aim::at(servers.replica(), false);
    let told = world.start_reader(Aim { primary: Some(world.primary()), ..replica }).await?;
    let untold = world.start_reader(Aim { is_unprovable: true, ..replica }).await?;
    let work = async {
        catches_up(world, &told).await?;
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
    let (began, ended, behind) = while_asked(world, &[&told, &untold], work).await?;
    let setting = world.setting();
    told.kill(&setting).await?;
    untold.kill(&setting).await?;
    Ok(Outcome {
        began,
        ended,
        scope: Some(Scope::Reader(told.number)),
        disturbs: true,
        hole: Hole::Nobody,
        effect: (behind > 0).then(|| format!("{behind} bytes behind at the end")),
    })
}
