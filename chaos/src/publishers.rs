//! Publishers: they revoke tokens, retry until Redis acknowledges, and record the time.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use caracal_revocation::wire::{DelegationEvent, MessageBuilder, Stream};
use fastrand::Rng;
use redis::aio::MultiplexedConnection;
use tokio::time::MissedTickBehavior;

use crate::failure::Failure;
use crate::mandates::{Anchor, ZONE};
use crate::message::MARK;
use crate::server::connect_within;
use crate::truth::Sent;
use crate::world::World;

/// The pause before a failed publication is retried, as Caracal's API polls its outbox.
const RETRY: Duration = Duration::from_millis(250);
const DEADLINE: Duration = Duration::from_secs(1);

/// A connection to the current primary.
#[derive(Default)]
pub struct Sender {
    /// `true` if this producer changes its key later than the others.
    is_late: bool,
    open: Option<(SocketAddr, MultiplexedConnection)>,
}

/// Revokes at a fixed pace. After a pause it catches up on the revocations that it owes.
pub async fn keep_revoking(world: &World, mut rng: Rng, pace: Duration, is_late: bool) -> Failure {
    let mut sender = Sender { is_late, open: None };
    let mut epoch = 0;
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        let way = Way::pick(&mut rng, world.schedule.spread);
        epoch += 1;
        let (revocation, _, message) = match decide(world, &mut rng, way, epoch) {
            Ok(decided) => decided,
            Err(failure) => return failure,
        };
        loop {
            let sent = {
                let _gate = world.gate.read().await;
                sender.send(world, message.clone(), &world.next_id()).await.map(|sent| {
                    world.truth.acknowledged(revocation, world.clock.now(), sent);
                })
            };
            match sent {
                Ok(()) => break,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

/// Publishes one revocation under this id, and returns the revoked token. The caller holds the
/// gate.
pub async fn revoke_as(world: &World, stream: Stream, id: &str) -> Result<usize, Failure> {
    let way = match stream {
        Stream::AgentsLifecycle => Way::Terminate,
        Stream::DelegationsInvalidate => Way::Delegations(Anchor::Delegation),
        _ => Way::Sessions(Anchor::Session),
    };
    let (revocation, token, message) = decide(world, &mut Rng::new(), way, 1)?;
    let sent = Sender::default().send(world, message, id).await?;
    world.truth.acknowledged(revocation, world.clock.now(), sent);
    Ok(token)
}

/// Chooses a token to revoke, and records the decision before Redis receives it. Returns the number
/// of the revocation, the token and the message.
fn decide(
    world: &World,
    rng: &mut Rng,
    way: Way,
    epoch: u64,
) -> Result<(usize, usize, MessageBuilder), Failure> {
    let what = format!("{way:?}");
    let (revocation, token) = loop {
        match world.truth.attempt(rng, world.clock.now(), &what) {
            Some(chosen) => break chosen,
            None => world.truth.mint(50, 0)?,
        }
    };
    world.decisions.revoke(&way.anchor(token))?;
    let message = way.message(token, epoch).with(MARK, &revocation.to_string());
    Ok((revocation, token, message))
}

/// The way a token is revoked: the anchor and the stream.
#[derive(Clone, Copy, Debug)]
enum Way {
    Sessions(Anchor),
    Terminate,
    Delegations(Anchor),
}

impl Way {
    fn pick(rng: &mut Rng, spread: bool) -> Self {
        match rng.u8(..10) {
            0 if spread => Self::Terminate,
            1 if spread => Self::Delegations(Anchor::Delegation),
            2 if spread => Self::Delegations(Anchor::HopDelegation),
            0..=2 => Self::Sessions(Anchor::HopSession),
            3 => Self::Sessions(Anchor::Root),
            4 => Self::Sessions(Anchor::AgentSession),
            5 => Self::Sessions(Anchor::Delegation),
            _ => Self::Sessions(Anchor::Session),
        }
    }

    /// Returns the revoked anchor.
    fn anchor(self, token: usize) -> String {
        match self {
            Self::Sessions(anchor) | Self::Delegations(anchor) => anchor.of(token),
            Self::Terminate => Anchor::AgentSession.of(token),
        }
    }

    fn message(self, token: usize, epoch: u64) -> MessageBuilder {
        match self {
            Self::Sessions(anchor) => {
                let (message, id) = (MessageBuilder::revoke(ZONE, "chaos"), anchor.of(token));
                match anchor {
                    Anchor::Session => message.session(&id),
                    Anchor::Root => message.root(&id),
                    Anchor::AgentSession | Anchor::HopSession => message.agent_session(&id),
                    Anchor::Delegation | Anchor::HopDelegation => message.delegation_edge(&id),
                }
            }
            Self::Terminate => MessageBuilder::terminate(ZONE, &Anchor::AgentSession.of(token)),
            Self::Delegations(anchor) => MessageBuilder::delegation(
                ZONE,
                DelegationEvent::Revoke,
                &[&anchor.of(token)],
                epoch,
            ),
        }
    }
}

impl Sender {
    /// Signs the message and adds it with this id. With `*` the server chooses the id.
    pub async fn send(
        &mut self,
        world: &World,
        message: MessageBuilder,
        id: &str,
    ) -> Result<Sent, Failure> {
        let stream = message.stream().name();
        let (key, signing) = world.keys.signing(self.is_late);
        let fields = message.into_fields(Some(&signing), SystemTime::now());
        let mut command = redis::cmd("XADD");
        command.arg(stream).arg("MAXLEN").arg("~").arg(100_000).arg(id);
        for (name, value) in &fields {
            command.arg(name).arg(value);
        }
        let mut connection = self.connection(world).await?;
        match command.query_async(&mut connection).await {
            Ok(id) => Ok(Sent { id, key }),
            Err(error) => {
                self.open = None;
                Err(error.into())
            }
        }
    }

    async fn connection(&mut self, world: &World) -> Result<MultiplexedConnection, Failure> {
        let primary = world.primary();
        if let Some((server, connection)) = &self.open
            && *server == primary
        {
            return Ok(connection.clone());
        }
        let connection = connect_within(primary, DEADLINE).await?;
        self.open = Some((primary, connection.clone()));
        Ok(connection)
    }
}
