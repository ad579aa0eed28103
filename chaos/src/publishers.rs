//! Publishers: they revoke tokens, retry until Redis acknowledges, and record the time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caracal_revocation::wire::{DelegationEvent, MessageBuilder, OccurredAt, Stream};
use fastrand::Rng;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::failure::Failure;
use crate::history::{Class, Resumed};
use crate::mandates::{self, Anchor, ZONE, kid};
use crate::message::MARK;
use crate::schedule::Schedule;
use crate::server::connect_within;
use crate::setup::Setup;
use crate::truth::Sent;
use crate::world::World;

/// The pause before a failed publication is retried, as Caracal's API polls its outbox.
const RETRY: Duration = Duration::from_millis(250);
const DEADLINE: Duration = Duration::from_secs(1);
/// The time for which a session stays suspended. A token that is issued later must be admitted.
const SUSPENDED: Duration = Duration::from_millis(3_500);

/// Connections to the servers of the streams.
#[derive(Default)]
pub struct Sender {
    /// `true` if this producer changes its key later than the others.
    is_late: bool,
    open: HashMap<SocketAddr, MultiplexedConnection>,
}

/// Revokes at a fixed pace, after a first pause. When it could not publish for a while, it catches up
/// on the revocations that it owes.
pub async fn keep_revoking(
    world: &World,
    mut rng: Rng,
    start: Duration,
    pace: Duration,
    is_late: bool,
) -> Failure {
    let mut sender = Sender { is_late, ..Sender::default() };
    let mut epoch = 0;
    let mut ticks = interval_at(Instant::now() + start, pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        let way = Way::pick(&mut rng, &world.schedule, is_late);
        epoch += 1;
        let (revocation, _, message) = match decide(world, &mut rng, way, epoch) {
            Ok(decided) => decided,
            Err(failure) => return failure,
        };
        sender
            .insist(world, &message, |sent| {
                world.truth.acknowledged(revocation, world.clock.now(), sent);
            })
            .await;
    }
}

/// Suspends sessions, resumes each later, and then issues a new token for it.
pub async fn keep_suspending(world: &World, mut rng: Rng) -> Failure {
    let mut sender = Sender::default();
    loop {
        tokio::time::sleep(Duration::from_millis(rng.u64(500..2_500))).await;
        match suspend(world, &mut rng, &mut sender).await {
            Ok(()) => {}
            Err(failure) => return failure,
        }
    }
}

async fn suspend(world: &World, rng: &mut Rng, sender: &mut Sender) -> Result<(), Failure> {
    let what = "Agents(Suspend)";
    let chosen = world.truth.attempt(rng, world.clock.now(), Class::Plain, what);
    let Some((revocation, token)) = chosen else { return Ok(()) };
    let session = Anchor::AgentSession.of(token);
    let suspended = moment()?;
    world.decisions.suspend(&session, suspended)?;
    let message = MessageBuilder::suspend(ZONE, &session, suspended);
    let message = message.with(MARK, &revocation.to_string());
    sender
        .insist(world, &message, |sent| {
            world.truth.acknowledged(revocation, world.clock.now(), sent);
        })
        .await;
    tokio::time::sleep(SUSPENDED).await;
    let message = MessageBuilder::resume(ZONE, &session, moment()?);
    world.decisions.resume(&session, suspended)?;
    let resumed = sender
        .insist(world, &message, |sent| Resumed { acked: world.clock.now(), key: sent.key })
        .await;
    world.truth.mint_resumed(token, resumed)
}

fn moment() -> Result<OccurredAt, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    OccurredAt::from_unix(now).ok_or_else(|| "no such time".into())
}

/// Publishes one message under this id, and returns the token that it revokes, if it revokes one.
/// The caller holds the gate.
pub async fn publish_as(world: &World, stream: Stream, id: &str) -> Result<Option<usize>, Failure> {
    let way = match stream {
        Stream::SessionsRevoke => Way::Sessions(Anchor::Session),
        Stream::AgentsLifecycle => Way::Agents(Terminate),
        Stream::DelegationsInvalidate => Way::Delegations(Anchor::Delegation),
        Stream::KeysInvalidate | Stream::PolicyInvalidate => {
            let message = if stream == Stream::KeysInvalidate {
                MessageBuilder::keys(ZONE)
            } else {
                MessageBuilder::policies(ZONE)
            };
            Sender::default().send(world, message, id).await?;
            return Ok(None);
        }
    };
    let (revocation, token, message) = decide(world, &mut Rng::new(), way, 1)?;
    let sent = Sender::default().send(world, message, id).await?;
    world.truth.acknowledged(revocation, world.clock.now(), sent);
    Ok(Some(token))
}

/// Revokes a session with a message that is re-cut after it was signed: the line with the session
/// becomes a part of the reason before it, and the signed text stays the same. The caller holds the
/// gate.
pub async fn revoke_recut(world: &World) -> Result<(), Failure> {
    let way = Way::Sessions(Anchor::Session);
    let (revocation, token, message) = decide(world, &mut Rng::new(), way, 1)?;
    world.truth.hide(revocation);
    let stream = message.stream();
    let (key, signing) = world.keys.signing(false);
    let mut fields = message.into_fields(Some(&signing), SystemTime::now());
    fields.retain(|(name, _)| name != "session_id");
    for (_, value) in fields.iter_mut().filter(|(name, _)| name == "reason") {
        value.push_str(&format!("\nsession_id={}", Anchor::Session.of(token)));
    }
    let mut connection = connect_within(world.owner(stream), DEADLINE).await?;
    let id = add(&mut connection, world, stream, &world.next_id(), &fields).await?;
    world.truth.acknowledged(revocation, world.clock.now(), Sent { id, key });
    Ok(())
}

/// Chooses a token to revoke, and records the decision before Redis receives it. Returns the number
/// of the revocation, the token and the message.
fn decide(
    world: &World,
    rng: &mut Rng,
    way: Way,
    epoch: u64,
) -> Result<(usize, usize, MessageBuilder), Failure> {
    let attempt = |rng: &mut Rng, way: Way| {
        let what = format!("{way:?}");
        world.truth.attempt(rng, world.clock.now(), way.class(), &what).map(|new| (new, way))
    };
    let ((revocation, token), way) = match attempt(rng, way) {
        Some(chosen) => chosen,
        // The few tokens of another class are used up.
        None => loop {
            match attempt(rng, Way::Sessions(Anchor::Session)) {
                Some(chosen) => break chosen,
                None => world.truth.mint(50, 0)?,
            }
        },
    };
    let message = way.decide(world, token, epoch)?.with(MARK, &revocation.to_string());
    Ok((revocation, token, message))
}

/// The way a token is revoked: the anchor and the stream.
#[derive(Clone, Copy, Debug)]
enum Way {
    Sessions(Anchor),
    Agents(Terminate),
    Delegations(Anchor),
    /// A delegation is created, and the zone's epoch moves.
    DelegationsCreate,
    /// The key of a token is withdrawn.
    Keys,
    /// A new version of the policy denies a session.
    Policy,
}

/// The end of a governed session.
#[derive(Clone, Copy, Debug)]
struct Terminate;

impl Way {
    fn pick(rng: &mut Rng, schedule: &Schedule, is_late: bool) -> Self {
        let spread = schedule.spread;
        if !schedule.is_quiet() && rng.u8(..12) == 0 {
            return match rng.u8(..3) {
                0 => Self::DelegationsCreate,
                1 => Self::Keys,
                // One producer only: the last message must name the newest version.
                _ if !is_late => Self::Policy,
                _ => Self::Keys,
            };
        }
        match rng.u8(..10) {
            0 if spread => Self::Agents(Terminate),
            1 if spread => Self::Delegations(Anchor::Delegation),
            2 if spread => Self::Delegations(Anchor::HopDelegation),
            0..=2 => Self::Sessions(Anchor::HopSession),
            3 => Self::Sessions(Anchor::Root),
            4 => Self::Sessions(Anchor::AgentSession),
            5 => Self::Sessions(Anchor::Delegation),
            _ => Self::Sessions(Anchor::Session),
        }
    }

    /// Returns the class of tokens that it ends.
    const fn class(self) -> Class {
        match self {
            Self::Sessions(_) | Self::Agents(_) | Self::Delegations(_) => Class::Plain,
            Self::DelegationsCreate => Class::Epoch,
            Self::Keys => Class::Keyed,
            Self::Policy => Class::Policy,
        }
    }

    /// Takes the decision, and returns the message about it.
    fn decide(self, world: &World, token: usize, epoch: u64) -> Result<MessageBuilder, Failure> {
        match self {
            Self::Sessions(anchor) | Self::Delegations(anchor) => {
                world.decisions.revoke(&anchor.of(token))?;
            }
            Self::Agents(Terminate) => world.decisions.revoke(&Anchor::AgentSession.of(token))?,
            Self::DelegationsCreate => world.decisions.epoch(ZONE, mandates::epoch(token) + 1)?,
            Self::Keys => world.jwks.withdraw(&kid(token)),
            Self::Policy => {
                let version = world.policy.deny(&Anchor::Session.of(token))?;
                if fastrand::bool() {
                    return Ok(MessageBuilder::policy(ZONE, "set-1", &version));
                }
            }
        }
        Ok(self.message(token, epoch))
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
            Self::Agents(Terminate) => {
                MessageBuilder::terminate(ZONE, &Anchor::AgentSession.of(token))
            }
            Self::DelegationsCreate => MessageBuilder::delegation(
                ZONE,
                DelegationEvent::Create,
                &["edge-new"],
                mandates::epoch(token) + 1,
            ),
            Self::Keys => MessageBuilder::keys(ZONE),
            Self::Policy => MessageBuilder::policies(ZONE),
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
    /// Sends the message until Redis acknowledges it.
    async fn insist<T>(
        &mut self,
        world: &World,
        message: &MessageBuilder,
        acknowledged: impl FnOnce(Sent) -> T,
    ) -> T {
        loop {
            {
                let _gate = world.gate.read().await;
                if let Ok(sent) = self.send(world, message.clone(), &world.next_id()).await {
                    return acknowledged(sent);
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Signs the message and adds it with this id. With `*` the server chooses the id.
    pub async fn send(
        &mut self,
        world: &World,
        message: MessageBuilder,
        id: &str,
    ) -> Result<Sent, Failure> {
        let stream = message.stream();
        let (key, signing) = world.keys.signing(self.is_late);
        let fields = message.into_fields(Some(&signing), SystemTime::now());
        let owner = world.owner(stream);
        let mut connection = self.connection(owner).await?;
        match add(&mut connection, world, stream, id, &fields).await {
            Ok(id) => Ok(Sent { id, key }),
            Err(error) => {
                self.open.remove(&owner);
                Err(error)
            }
        }
    }

    async fn connection(&mut self, server: SocketAddr) -> Result<MultiplexedConnection, Failure> {
        if let Some(connection) = self.open.get(&server) {
            return Ok(connection.clone());
        }
        let connection = connect_within(server, DEADLINE).await?;
        self.open.insert(server, connection.clone());
        Ok(connection)
    }
}

/// Adds an entry, and returns its id.
async fn add(
    connection: &mut MultiplexedConnection,
    world: &World,
    stream: Stream,
    id: &str,
    fields: &[(String, String)],
) -> Result<String, Failure> {
    let mut commands = redis::pipe();
    if world.schedule.setup == Setup::Cluster {
        // The slot may be on its way to this server.
        commands.cmd("ASKING").ignore();
    }
    let add = commands.cmd("XADD").arg(stream.name());
    add.arg("MAXLEN").arg("~").arg(100_000).arg(id);
    for (name, value) in fields {
        add.arg(name).arg(value);
    }
    let (id,) = commands.query_async(connection).await?;
    Ok(id)
}
