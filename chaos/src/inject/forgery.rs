//! Messages of an attacker that can write to Redis and has no key.

use std::time::{Duration, SystemTime};

use caracal_revocation::wire::{Key, MessageBuilder, Stream};
use fastrand::Rng;

use super::Outcome;
use crate::failure::Failure;
use crate::fault::{Ending, Fault};
use crate::history::GapScope;
use crate::mandates::{Anchor, ZONE};
use crate::server::connect;
use crate::time::At;
use crate::world::World;

/// The silence after forged messages lasts this much longer than the bound.
const SILENCE: Duration = Duration::from_secs(1);

/// Adds forged messages that revoke good tokens, and messages that no reader can parse.
pub(super) async fn forge(world: &World, fault: &Fault, began: At) -> Result<Outcome, Failure> {
    let is_silent = fault.ending == Ending::StaysSilent;
    let silence = if is_silent { Some(world.gate.write().await) } else { None };
    let mut rng = Rng::new();
    let mut connection = connect(world.primary()).await?;
    let stream = Stream::SessionsRevoke;
    let mut added = 0;
    for token in world.truth.some_good(&mut rng, 6) {
        let session = Anchor::Session.of(token);
        let message = || MessageBuilder::revoke(ZONE, "forged").session(&session);
        let now = SystemTime::now();
        let other = MessageBuilder::keys(ZONE).with("session_id", &session);
        for fields in [
            message().into_fields(None, now),
            message().into_fields(Some(&Key::generate()?), now),
            message().with("_sig", &"00".repeat(32)).into_fields(None, now),
            // Signed with a valid key, for another stream.
            other.into_fields(Some(&world.keys.signing(false).1), now),
        ] {
            let mut add = redis::cmd("XADD");
            add.arg(stream.name()).arg(world.next_id());
            for (name, value) in fields {
                add.arg(name).arg(value);
            }
            added += usize::from(add.exec_async(&mut connection).await.is_ok());
        }
    }
    for fields in [[&b"\xff\xfe"[..], b"\x80"], [b"", b""], [b"_sig", b"\xc3\x28"]] {
        let mut add = redis::cmd("XADD");
        add.arg(stream.name()).arg(world.next_id()).arg(&fields);
        added += usize::from(add.exec_async(&mut connection).await.is_ok());
    }
    let ended = world.clock.now();
    if silence.is_some() {
        tokio::time::sleep(world.schedule.bound + SILENCE).await;
    }
    Ok(Outcome {
        began,
        ended,
        scope: None,
        disturbs: false,
        gap: GapScope::Nobody,
        effect: (added > 0).then(|| format!("{added} messages added")),
    })
}
