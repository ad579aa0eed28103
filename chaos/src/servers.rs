//! The primary and its replica, and which of the two servers is which.

use std::net::SocketAddr;

use tokio::sync::watch;

use crate::failure::Failure;
use crate::owners::Owners;
use crate::proxy::{Link, Proxy};
use crate::server::{RedisServer, connect, in_step, info};

/// The size of one write that keeps a link busy.
const PIECE: usize = 64 << 10;

#[derive(Debug)]
pub struct Servers {
    pub primary: RedisServer,
    replica: RedisServer,
    /// The proxy through which the replica reads from the primary.
    replication: Proxy,
    owners: watch::Sender<Owners>,
}

impl Servers {
    pub async fn start() -> Result<(Self, watch::Receiver<Owners>), Failure> {
        let primary = RedisServer::start(None).await?;
        let replication = Proxy::to(primary.address()).await?;
        let replica = RedisServer::start(Some(replication.address())).await?;
        let (owners, watching) = watch::channel(Owners::all(primary.address()));
        let servers = Self { primary, replica, replication, owners };
        servers.in_step().await?;
        Ok((servers, watching))
    }

    /// Waits until the replica has everything that the primary has.
    pub async fn in_step(&self) -> Result<(), Failure> {
        in_step(self.primary.address(), self.replica.address()).await
    }

    /// Cuts the replica off from the primary.
    pub fn cut_replication(&self) {
        self.replication.set(Link::Cut);
    }

    pub fn replica(&self) -> SocketAddr {
        self.replica.address()
    }

    /// Limits the link to the replica to this many bytes a second.
    pub fn throttle_replication(&self, bytes_per_second: u64) {
        self.replication.set(Link::Throttled(bytes_per_second));
    }

    pub fn open_replication(&self) {
        self.replication.set(Link::Open);
    }

    /// Writes this many bytes to the primary. The replica has to read them too.
    pub async fn write_noise(&self, bytes: u64) -> Result<(), Failure> {
        let mut connection = connect(self.primary.address()).await?;
        let piece = vec![b'.'; PIECE];
        let mut commands = redis::pipe();
        for _ in 0..bytes / PIECE as u64 {
            commands.cmd("SET").arg("chaos:noise").arg(&piece).ignore();
        }
        Ok(commands.query_async(&mut connection).await?)
    }

    /// Returns how many bytes of the primary's history the replica lacks.
    pub async fn bytes_behind(&self) -> Result<i64, Failure> {
        let replica = info(self.replica.address(), "slave_repl_offset").await?;
        let primary = info(self.primary.address(), "master_repl_offset").await?;
        Ok(primary.parse::<i64>()? - replica.parse::<i64>()?)
    }

    /// Makes the replica the primary, in place of one that is down. The caller directs the readers
    /// to its address. [`Self::replace_replica`] starts a new replica.
    pub async fn promote(&mut self) -> Result<SocketAddr, Failure> {
        let mut connection = connect(self.replica.address()).await?;
        redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut connection).await?;
        std::mem::swap(&mut self.primary, &mut self.replica);
        let address = self.primary.address();
        if info(address, "role").await? != "master" {
            return Err("the replica was not promoted".into());
        }
        self.owners.send_replace(Owners::all(address));
        Ok(address)
    }

    /// Starts a new replica in place of the previous primary.
    pub async fn replace_replica(&mut self) -> Result<(), Failure> {
        self.replication = Proxy::to(self.primary.address()).await?;
        self.replica = RedisServer::start(Some(self.replication.address())).await?;
        Ok(())
    }
}
