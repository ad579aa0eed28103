//! Publishers: they revoke, try again until Redis has acknowledged, and record when it did.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caracal_revocation::{DelegationEvent, Notice};
use fastrand::Rng;
use redis::aio::MultiplexedConnection;
use tokio::time::MissedTickBehavior;

use crate::Failure;
use crate::mandates::{Anchor, ZONE};
use crate::server::connect_within;
use crate::world::World;

/// As often as Caracal's API polls its outbox.
const RETRY: Duration = Duration::from_millis(250);
const DEADLINE: Duration = Duration::from_secs(1);
/// Names the revocation in its message; readers accept unknown fields.
pub const MARK: &str = "chaos_revocation";

/// A connection to the primary of the moment.
#[derive(Default)]
pub struct Sender {
    open: Option<(SocketAddr, MultiplexedConnection)>,
}

/// Revokes at a pace; what Redis does not take at once is caught up with later.
pub async fn keep_revoking(world: &World, mut rng: Rng, pace: Duration) -> Failure {
    let mut sender = Sender::default();
    let mut epoch = 0;
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        let way = Way::pick(&mut rng, world.schedule.spread);
        let what = format!("{way:?}");
        let Some((revocation, token)) = world.truth.attempt(&mut rng, world.clock.now(), &what)
        else {
            if let Err(failure) = world.truth.mint(50, 0) {
                return failure;
            }
            continue;
        };
        epoch += 1;
        if let Err(failure) = world.decisions.revoke(&way.anchor(token)) {
            return failure;
        }
        let notice = way.notice(token, epoch).with(MARK, &revocation.to_string());
        loop {
            let sent = {
                let _gate = world.gate.read().await;
                sender.send(world, notice.clone()).await.map(|id| {
                    world.truth.acknowledged(revocation, world.clock.now(), id);
                })
            };
            match sent {
                Ok(()) => break,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

/// How a token is revoked: by which anchor, on which stream.
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

    /// What is revoked.
    fn anchor(self, token: usize) -> String {
        match self {
            Self::Sessions(anchor) | Self::Delegations(anchor) => anchor.of(token),
            Self::Terminate => Anchor::AgentSession.of(token),
        }
    }

    fn notice(self, token: usize, epoch: u64) -> Notice {
        match self {
            Self::Sessions(anchor) => {
                let (notice, id) = (Notice::revoke(ZONE, "chaos"), anchor.of(token));
                match anchor {
                    Anchor::Session => notice.session(&id),
                    Anchor::Root => notice.root(&id),
                    Anchor::AgentSession | Anchor::HopSession => notice.agent_session(&id),
                    Anchor::Delegation | Anchor::HopDelegation => notice.delegation_edge(&id),
                }
            }
            Self::Terminate => Notice::terminate(ZONE, &Anchor::AgentSession.of(token)),
            Self::Delegations(anchor) => {
                Notice::delegation(ZONE, DelegationEvent::Revoke, &[&anchor.of(token)], epoch)
            }
        }
    }
}

impl Sender {
    /// The message's id.
    pub async fn send(&mut self, world: &World, notice: Notice) -> Result<String, Failure> {
        let stream = notice.stream().name();
        let fields = notice.into_fields(Some(&world.key), SystemTime::now());
        let mut command = redis::cmd("XADD");
        command.arg(stream).arg("MAXLEN").arg("~").arg(100_000).arg(world.next_id());
        for (name, value) in &fields {
            command.arg(name).arg(value);
        }
        let mut connection = self.connection(world).await?;
        match command.query_async(&mut connection).await {
            Ok(id) => Ok(id),
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

/// An id by this machine's clock, so many milliseconds behind.
pub fn id_behind(by: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{}-*", now.saturating_sub(u128::from(by)))
}
