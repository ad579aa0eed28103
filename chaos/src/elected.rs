//! Servers of which a majority names the primary: with sentinels, or in a cluster.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use caracal_revocation::wire::Stream;
use caracal_test_support::sentinel::{MASTER, Sentinel};
use redis::{FromRedisValue, Value};
use tokio::sync::watch;

use crate::failure::Failure;
use crate::links::Place;
use crate::owners::Owners;
use crate::proxy::{Link, Proxy, Socket};
use crate::renames::Renames;
use crate::server::{RedisServer, connect, connect_within, in_step, info};

/// The time limit of each step: longer than the slowest machine needs.
const AGREE_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// A server that is down or frozen does not answer a question within this time.
const ASKED_WITHIN: Duration = Duration::from_millis(300);

/// The logins of the first sentinel and of the two others. A server that blocks one of them is out
/// of reach for these sentinels. Without a login they have no right to ask if it is up.
pub const FIRST: &str = "first";
pub const OTHERS: &str = "others";
const WATCHED: &[&str] = &[
    "--user",
    FIRST,
    "on",
    ">pw",
    "~*",
    "&*",
    "+@all",
    "--user",
    OTHERS,
    "on",
    ">pw",
    "~*",
    "&*",
    "+@all",
    "--user",
    "default",
    "on",
    "nopass",
    "~*",
    "&*",
    "+@all",
    "-ping",
    "-publish",
    "-subscribe",
];
const CLUSTER: &[&str] = &["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];

/// The first and last slot of each master. The last one has the replica.
const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

#[derive(Debug)]
pub struct Elected {
    electors: Electors,
    /// The server of `sessions.revoke`.
    pub home: RedisServer,
    /// The replica of `home`.
    pub replica: RedisServer,
    /// The other masters of a cluster.
    pub others: Vec<RedisServer>,
    owners: watch::Sender<Owners>,
}

/// Who names the primary.
#[derive(Debug)]
enum Electors {
    Sentinels {
        sentinels: Vec<Sentinel>,
        /// The proxy through which the other sentinels reach the first.
        first: Proxy,
    },
    Masters,
}

impl Elected {
    /// Starts a primary, a replica, and three sentinels.
    pub async fn with_sentinels() -> Result<(Self, watch::Receiver<Owners>), Failure> {
        let home = RedisServer::start_with(WATCHED, None).await?;
        let replica = RedisServer::start_with(WATCHED, Some(home.address())).await?;
        in_step(home.address(), replica.address()).await?;
        let login =
            |user| format!("sentinel auth-user {MASTER} {user}\nsentinel auth-pass {MASTER} pw");
        let socket = Socket::bind().await?;
        let announced = format!(
            "{}\nsentinel announce-ip 127.0.0.1\nsentinel announce-port {}",
            login(FIRST),
            socket.address()?.port()
        );
        let port = home.address().port();
        let mut sentinels = vec![Sentinel::start(port, &announced)?];
        let first = socket.forward(sentinels[0].address(), Renames::default())?;
        for _ in 0..2 {
            sentinels.push(Sentinel::start(port, &login(OTHERS))?);
        }
        for sentinel in &sentinels {
            sentinel.wait_for_peers(2).await;
        }
        let (owners, watching) = watch::channel(Owners::all(home.address()));
        let electors = Electors::Sentinels { sentinels, first };
        Ok((Self { electors, home, replica, others: Vec::new(), owners }, watching))
    }

    /// Starts a cluster of three masters, and a replica of the last.
    pub async fn with_masters() -> Result<(Self, watch::Receiver<Owners>), Failure> {
        let mut masters = Vec::new();
        for (first, last) in SLOTS {
            let master = RedisServer::start_with(CLUSTER, None).await?;
            let (first, last) = (first.to_string(), last.to_string());
            let _: Value = ask(master.address(), &["ADDSLOTSRANGE", &first, &last]).await?;
            masters.push(master);
        }
        let replica = RedisServer::start_with(CLUSTER, None).await?;
        for node in masters[1..].iter().chain([&replica]) {
            let port = node.address().port().to_string();
            let _: Value = ask(masters[0].address(), &["MEET", "127.0.0.1", &port]).await?;
        }
        let home = masters.pop().ok_or("no master")?;
        let mut owners = Owners::all(home.address());
        for stream in Stream::ALL {
            let slot: u16 = ask(home.address(), &["KEYSLOT", stream.name()]).await?;
            let owner = SLOTS.iter().position(|(first, last)| (*first..=*last).contains(&slot));
            if let Some(master) = owner.and_then(|owner| masters.get(owner)) {
                owners.set(stream, master.address());
            }
        }
        let (owners, watching) = watch::channel(owners);
        let fleet = Self { electors: Electors::Masters, home, replica, others: masters, owners };
        until("the nodes meet", async || fleet.have_met().await).await?;
        let id: String = ask(fleet.home.address(), &["MYID"]).await?;
        let _: Value = ask(fleet.replica.address(), &["REPLICATE", &id]).await?;
        until("the nodes know the replica", async || {
            for node in fleet.nodes() {
                let nodes: String = ask(node, &["NODES"]).await?;
                if !nodes.contains(&format!("slave {id}")) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await?;
        fleet.in_step().await?;
        Ok((fleet, watching))
    }

    /// Returns what readers follow.
    pub fn place(&self) -> Place {
        match &self.electors {
            Electors::Sentinels { sentinels, .. } => Place::Sentinels {
                sentinels: sentinels.iter().map(Sentinel::address).collect(),
                servers: self.nodes(),
            },
            Electors::Masters => Place::Cluster(self.nodes()),
        }
    }

    /// Returns those whose majority names the primary.
    pub fn electors(&self) -> Vec<SocketAddr> {
        match &self.electors {
            Electors::Sentinels { sentinels, .. } => {
                sentinels.iter().map(Sentinel::address).collect()
            }
            Electors::Masters => {
                self.others.iter().chain([&self.home]).map(RedisServer::address).collect()
            }
        }
    }

    /// Waits until the replica has everything that its master has.
    pub async fn in_step(&self) -> Result<(), Failure> {
        in_step(self.home.address(), self.replica.address()).await
    }

    /// Waits until a majority names the replica, which has taken over.
    pub async fn wait_for_takeover(&self) -> Result<(), Failure> {
        let new = self.replica.address();
        until("the replica takes over", async || {
            Ok(self.is_named(new).await && info(new, "role").await? == "master")
        })
        .await
    }

    /// Waits until every master of the cluster accepts commands.
    pub async fn wait_until_up(&self) -> Result<(), Failure> {
        until("the cluster is up", async || Ok(self.is_named(self.home.address()).await)).await
    }

    /// Leads publishers to the replica, which has taken over.
    pub fn switch(&mut self) {
        let (old, new) = (self.home.address(), self.replica.address());
        self.owners.send_modify(|owners| owners.replace(old, new));
        std::mem::swap(&mut self.home, &mut self.replica);
    }

    /// Waits until the previous master is a replica, after it is made one if nobody else does that
    /// soon.
    pub async fn rejoin(&mut self) -> Result<(), Failure> {
        let (home, old) = (self.home.address(), self.replica.address());
        let is_watched = matches!(self.electors, Electors::Sentinels { .. });
        if !self.replica.answers().await {
            self.replica.restart(is_watched.then_some(home)).await?;
        } else if is_watched {
            let mut connection = connect(old).await?;
            let mut command = redis::cmd("REPLICAOF");
            command.arg("127.0.0.1").arg(home.port());
            command.exec_async(&mut connection).await?;
        }
        self.in_step().await
    }

    /// Lets the other sentinels reach the first, or not.
    pub fn set_first_sentinel(&self, link: Link) {
        if let Electors::Sentinels { first, .. } = &self.electors {
            first.set(link);
        }
    }

    /// Moves a stream's slot to another master: its messages are there, and until
    /// [`Self::end_move`] the old master still owns the slot.
    pub async fn begin_move(&self, stream: Stream, to: SocketAddr) -> Result<(), Failure> {
        let from = self.owners.borrow().of(stream);
        let slot: u16 = ask(from, &["KEYSLOT", stream.name()]).await?;
        let slot = slot.to_string();
        let (from_id, to_id): (String, String) =
            (ask(from, &["MYID"]).await?, ask(to, &["MYID"]).await?);
        let _: Value = ask(to, &["SETSLOT", &slot, "IMPORTING", &from_id]).await?;
        let _: Value = ask(from, &["SETSLOT", &slot, "MIGRATING", &to_id]).await?;
        let mut command = redis::cmd("MIGRATE");
        command.arg("127.0.0.1").arg(to.port()).arg(stream.name()).arg(0).arg(5_000);
        command.exec_async(&mut connect(from).await?).await?;
        self.owners.send_modify(|owners| owners.set(stream, to));
        Ok(())
    }

    /// Makes the new master the owner of the slot.
    pub async fn end_move(&self, stream: Stream) -> Result<(), Failure> {
        let to = self.owners.borrow().of(stream);
        let slot: u16 = ask(to, &["KEYSLOT", stream.name()]).await?;
        let (slot, id): (_, String) = (slot.to_string(), ask(to, &["MYID"]).await?);
        let masters = self.electors();
        for node in [to].iter().chain(&masters) {
            let _: Value = ask(*node, &["SETSLOT", &slot, "NODE", &id]).await?;
        }
        Ok(())
    }

    fn nodes(&self) -> Vec<SocketAddr> {
        let nodes = self.others.iter().chain([&self.home, &self.replica]);
        nodes.map(RedisServer::address).collect()
    }

    async fn have_met(&self) -> Result<bool, Failure> {
        for node in self.nodes() {
            let info: String = ask(node, &["INFO"]).await?;
            if !(info.contains("cluster_known_nodes:4") && info.contains("cluster_state:ok")) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns `true` if this server is named as the primary of `sessions.revoke`: by a majority of
    /// the sentinels, or by every master, itself included.
    async fn is_named(&self, server: SocketAddr) -> bool {
        let (electors, needed) = match &self.electors {
            Electors::Sentinels { .. } => (self.electors(), 2),
            Electors::Masters => {
                let others = self.others.iter().map(RedisServer::address);
                (others.chain([server]).collect(), self.others.len() + 1)
            }
        };
        let mut votes = 0;
        for elector in electors {
            votes += usize::from(self.names(elector, server).await.unwrap_or(false));
        }
        votes >= needed
    }

    /// Returns `true` if this elector names this server.
    async fn names(&self, elector: SocketAddr, server: SocketAddr) -> Result<bool, Failure> {
        let question = async {
            let mut connection = connect_within(elector, ASKED_WITHIN).await?;
            if matches!(self.electors, Electors::Sentinels { .. }) {
                let mut command = redis::cmd("SENTINEL");
                command.arg("GET-MASTER-ADDR-BY-NAME").arg(MASTER);
                let (_, port): (String, u16) = command.query_async(&mut connection).await?;
                return Ok(port == server.port());
            }
            let mut commands = redis::pipe();
            commands.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("NODES");
            let (info, nodes): (String, String) = commands.query_async(&mut connection).await?;
            let (_, last) = SLOTS[SLOTS.len() - 1];
            let owns = |line: &str| {
                line.contains(&format!("{server}@")) && line.contains(&format!("-{last}"))
            };
            Ok(info.contains("cluster_state:ok") && nodes.lines().any(owns))
        };
        tokio::time::timeout(ASKED_WITHIN, question).await?
    }
}

/// Runs a `CLUSTER` command.
async fn ask<T: FromRedisValue>(node: SocketAddr, arguments: &[&str]) -> Result<T, Failure> {
    let mut connection = connect(node).await?;
    Ok(redis::cmd("CLUSTER").arg(arguments).query_async(&mut connection).await?)
}

async fn until(
    what: &str,
    mut is_so: impl AsyncFnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + AGREE_WITHIN;
    while Instant::now() < deadline {
        if is_so().await? {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(format!("not within {AGREE_WITHIN:?}: {what}").into())
}
