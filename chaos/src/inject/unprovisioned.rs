//! A reader of a Redis that has none of the streams.

use std::collections::BTreeSet;
use std::time::Duration;

use caracal_revocation::wire::Stream;
use fastrand::Rng;

use super::Outcome;
use super::extra_readers::while_requesting;
use crate::clients::{Client, REQUEST_EVERY};
use crate::failure::Failure;
use crate::fault::{Ending, Fault};
use crate::history::{GapScope, Scope};
use crate::links::Place;
use crate::readers::{Aim, Reader};
use crate::server::RedisServer;
use crate::time::At;
use crate::world::{World, provision};

/// The time within which a reader is ready once its server is provisioned, and its answers show it.
const READY: Duration = Duration::from_millis(3_000);

/// Starts a reader of a wrong database, or of a new server that is provisioned at the end.
pub(super) async fn follow(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let server = match fault.ending {
        Ending::Resumes => Some(RedisServer::start(None).await?),
        Ending::Resets | Ending::StaysSilent => None,
    };
    let place = match &server {
        Some(server) => Place::Server(server.address(), 0),
        None => Place::Server(world.primary(), world.empty_database()),
    };
    let aim = Aim { is_unprovable: true, ..Aim::at(place, false) };
    let reader = world.start_reader(aim).await?;
    let life = reader.current().ok_or("the reader is down")?.life;
    while_requesting(world, &[&reader], tokio::time::sleep(fault.lasts)).await;
    let ended = world.clock.now();
    let probes = world.truth.probes_of(life);
    if let Some(server) = &server {
        world.truth.provable(life, world.clock.now());
        provision(server.address(), &Stream::ALL).await?;
        request_good(world, &reader).await;
    }
    reader.kill(&world.setting()).await?;
    let reasons: BTreeSet<_> =
        probes.iter().map(|probe| probe.unready.as_deref().unwrap_or("ready")).collect();
    Ok(Outcome {
        began,
        ended,
        scope: Some(Scope::Reader(reader.number)),
        disturbs: false,
        gap: GapScope::Nobody,
        effect: (!probes.is_empty())
            .then(|| format!("reader {}: {}", reader.number, Vec::from_iter(reasons).join(", "))),
    })
}

/// Sends requests with tokens that are never revoked: on this server no token is.
async fn request_good(world: &World, reader: &Reader) {
    let sending = async {
        let (client, mut rng) = (Client::new(), Rng::new());
        loop {
            for token in world.truth.some_good(&mut rng, 1) {
                client.request(world, reader, token).await;
            }
            tokio::time::sleep(REQUEST_EVERY).await;
        }
    };
    tokio::select! {
        () = sending => {}
        _ = Client::new().keep_probing(world, reader) => {}
        () = tokio::time::sleep(READY) => {}
    }
}
