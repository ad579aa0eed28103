//! Runs one schedule and returns its history.

use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::{join_all, try_join_all};
use futures_util::{StreamExt, stream};

use crate::clients::{Client, REQUEST_EVERY};
use crate::failure::Failure;
use crate::heartbeat::Heartbeat;
use crate::held::keep_holding;
use crate::history::{History, Minimum, Promise};
use crate::inject::inject;
use crate::publishers::{keep_revoking, keep_suspending};
use crate::reader::MARGIN;
use crate::schedule::Schedule;
use crate::setup::Setup;
use crate::time::At;
use crate::world::World;

const PUBLISHERS: u32 = 2;
/// The number of clients of each reader that hold a response open.
const HOLDERS: usize = 4;
const REVOKE_EVERY: Duration = Duration::from_millis(200);
const RECOVERY: Duration = Duration::from_secs(2);
/// The same with sentinels or a cluster. Readers ask once a second who the primary is.
const RECOVERY_WITH_ELECTORS: Duration = Duration::from_secs(3);
/// The extra time for which strict mode denies tokens: their authority may have been re-issued.
const REISSUED: Duration = Duration::from_secs(120);
const READY_WITHIN: Duration = Duration::from_secs(120);
/// The baseline is read at most this often.
const RELOAD: Duration = Duration::from_millis(1_200);

/// The length of a schedule, and its required content.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub length: Duration,
    pub minimum: Minimum,
}

pub async fn run(schedule: Schedule, extent: Extent, folder: PathBuf) -> Result<History, Failure> {
    let (bound, strict) = (schedule.bound, schedule.strict);
    let recovery = match schedule.setup {
        Setup::Pair => RECOVERY,
        Setup::Sentinel | Setup::Cluster => RECOVERY_WITH_ELECTORS,
    };
    let reload = schedule.baseline.then_some(RELOAD);
    let margin = if strict { MARGIN + REISSUED } else { MARGIN };
    let mut rng = Rng::with_seed(schedule.seed);
    let world = World::start(schedule, folder).await?;
    let heartbeat = Heartbeat::start(world.clock);
    if strict && reload.is_none() {
        // In strict mode without a baseline, tokens issued before the start are denied.
        tokio::time::sleep(margin + recovery).await;
    }
    world.truth.mint(400, 60)?;
    world.truth.mint_few(&world.jwks)?;
    warm_up(&world).await?;
    let began = world.clock.now();
    tokio::select! {
        biased;
        failure = load(&world, &mut rng) => return Err(failure),
        never = heartbeat.watch_task(world.clock) => match never {},
        done = play(&world, began, extent.length, recovery) => done?,
    }
    sweep(&world).await;
    for reader in &world.readers {
        reader.record_unexpected_end(&world.setting()).await?;
    }
    let record = world.truth.record();
    let mut requests = record.requests;
    requests.sort_by_key(|request| request.sent);
    Ok(History {
        seed: world.schedule.seed,
        setup: world.schedule.setup,
        promise: Promise { strict, reload, bound, recovery, margin, minimum: extent.minimum },
        unix_start: u64::try_from(world.clock.unix_start().as_micros())?,
        readers: record.lives,
        tokens: record.tokens,
        revocations: record.revocations,
        faults: record.faults,
        requests,
        probes: record.probes,
        held: record.held,
        lateness: heartbeat.stop(),
    })
}

/// Waits until every reader has admitted a request.
async fn warm_up(world: &World) -> Result<(), Failure> {
    let token = world.truth.everything()[0];
    let ready = world.readers.iter().map(async |reader| {
        let client = Client::new();
        while client.request(world, reader, token).await != Some(crate::history::Answer::Admitted) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    tokio::time::timeout(READY_WITHIN, join_all(ready))
        .await
        .map_err(|_| "the readers do not become ready")?;
    Ok(())
}

/// Runs the publishers, the clients and the issuer until dropped. Returns only on a failure of the
/// harness.
async fn load(world: &World, rng: &mut Rng) -> Failure {
    let publishers = (0..PUBLISHERS).map(|number| {
        // Each at another time. Two messages at once would hide what one alone shows.
        let start = REVOKE_EVERY * number / PUBLISHERS;
        keep_revoking(world, rng.fork(), start, REVOKE_EVERY, number > 0)
    });
    let publishers: Vec<_> = publishers.collect();
    let probes = world.readers.iter().map(|reader| Client::new().keep_probing(world, reader));
    let clients: Vec<_> = world
        .readers
        .iter()
        .map(|reader| Client::new().keep_requesting(world, reader, rng.fork(), REQUEST_EVERY))
        .collect();
    let holders = world.readers.iter().flat_map(|reader| std::iter::repeat_n(reader, HOLDERS));
    let holding: Vec<_> = holders.map(|reader| keep_holding(world, reader, rng.fork())).collect();
    let suspending = keep_suspending(world, rng.fork());
    let minting = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Err(failure) = world.truth.mint(10, 2) {
                return failure;
            }
        }
    };
    tokio::select! {
        (failure, ..) = futures_util::future::select_all(publishers.into_iter().map(Box::pin)) => failure,
        _ = join_all(clients) => "clients do not end".into(),
        _ = join_all(probes) => "probes do not end".into(),
        _ = join_all(holding) => "held responses do not end".into(),
        failure = suspending => failure,
        failure = minting => failure,
    }
}

/// Injects the faults, one step after the other, and waits for the rest of the time.
async fn play(
    world: &World,
    began: At,
    length: Duration,
    recovery: Duration,
) -> Result<(), Failure> {
    for step in &world.schedule.steps {
        tokio::time::sleep(step.pause).await;
        try_join_all(step.faults.iter().map(|fault| inject(world, fault))).await?;
    }
    let now = world.clock.now();
    let over = world.truth.record().faults.iter().map(|fault| fault.ended).max();
    // Leaves every reader time to recover, even if the schedule is over.
    let recovered = over.unwrap_or_default().max(now).plus(2 * recovery);
    tokio::time::sleep(began.plus(length).max(recovered).since(now)).await;
    Ok(())
}

/// Asks every reader about every token that was ever revoked.
async fn sweep(world: &World) {
    let tokens = world.truth.everything();
    join_all(world.readers.iter().map(async |reader| {
        let client = Client::new();
        let requests = stream::iter(&tokens).map(|token| client.request(world, reader, *token));
        requests.buffer_unordered(4).count().await;
    }))
    .await;
}
