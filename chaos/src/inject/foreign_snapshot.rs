//! A snapshot that another key has sealed, from a Redis in which other tokens are revoked.

use std::time::{Duration, Instant, SystemTime};

use caracal_revocation::wire::{MessageBuilder, Stream};
use fastrand::Rng;

use super::Outcome;
use super::extra_readers::while_requesting;
use crate::clients::Client;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::history::{Answer, GapScope, Scope};
use crate::keys::Keys;
use crate::links::Place;
use crate::mandates::{Anchor, ZONE};
use crate::readers::{Aim, Setting};
use crate::server::{RedisServer, connect};
use crate::time::At;
use crate::world::{World, provision};

const TOKENS: usize = 10;
const ASK_EVERY: Duration = Duration::from_millis(40);
/// The time limit of a step: longer than the slowest machine needs.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);

/// Starts a reader from such a snapshot. The reader must not believe it.
pub(super) async fn restore(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let tokens = world.truth.some_good(&mut Rng::new(), TOKENS);
    let number = world.next_number();
    let bytes = foreign(world, &tokens, number).await?;
    let aim = Aim { foreign_snapshot: true, ..world.at_primary(true) };
    let reader = world.start_reader(aim).await?;
    let asked = async {
        let client = Client::new();
        for token in tokens.iter().cycle() {
            client.request(world, &reader, *token).await;
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let readers = [&reader];
    tokio::select! {
        () = while_requesting(world, &readers, tokio::time::sleep(fault.lasts)) => {}
        () = asked => {}
    }
    let number = reader.number;
    reader.kill(&world.setting()).await?;
    Ok(Outcome {
        began,
        ended: world.clock.now(),
        scope: Some(Scope::Reader(number)),
        disturbs: false,
        gap: GapScope::Nobody,
        effect: (bytes > 0)
            .then(|| format!("a snapshot of {bytes} bytes, {TOKENS} sessions in it")),
    })
}

/// Writes the snapshot of another fleet to the place of the next reader's. Returns its size.
async fn foreign(world: &World, tokens: &[usize], number: usize) -> Result<u64, Failure> {
    let server = RedisServer::start(None).await?;
    provision(server.address(), &Stream::ALL).await?;
    let keys = Keys::new()?;
    let setting = Setting { keys: &keys, decisions: None, ..world.setting() };
    let reader = world
        .start_reader_with(Aim::at(Place::Server(server.address(), 0), true), &setting)
        .await?;
    let mut connection = connect(server.address()).await?;
    for token in tokens {
        let message = MessageBuilder::revoke(ZONE, "chaos").session(&Anchor::Session.of(*token));
        let stream = message.stream().name();
        let fields = message.into_fields(Some(&keys.signing(false).1), SystemTime::now());
        let mut add = redis::cmd("XADD");
        add.arg(stream).arg("*");
        for (name, value) in &fields {
            add.arg(name).arg(value);
        }
        add.exec_async(&mut connection).await?;
    }
    let deadline = Instant::now() + KNOWN_WITHIN;
    let last = *tokens.last().ok_or("no good token")?;
    while Client::new().ask(world, &reader, last).await != Some(Answer::Revoked) {
        if Instant::now() > deadline {
            return Err("a reader of another fleet does not catch up".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    reader.stop(&setting).await?;
    let written = setting.snapshot(reader.number);
    let size = std::fs::metadata(&written)?.len();
    std::fs::rename(written, setting.snapshot(number + 1))?;
    Ok(size)
}
