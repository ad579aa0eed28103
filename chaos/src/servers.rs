//! The primary, its replica, and who is which.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::failure::Failure;
use crate::proxy::{Link, Proxy};
use crate::server::{RedisServer, connect};

const IN_STEP_WITHIN: Duration = Duration::from_secs(60);
/// Of what is written to keep a link busy.
const PIECE: usize = 64 << 10;

#[derive(Debug)]
pub struct Servers {
    pub primary: RedisServer,
    replica: RedisServer,
    /// What the replica reads through.
    replication: Proxy,
    address: watch::Sender<SocketAddr>,
}

impl Servers {
    pub async fn start() -> Result<(Self, watch::Receiver<SocketAddr>), Failure> {
        let primary = RedisServer::start(None).await?;
        let replication = Proxy::to(primary.address()).await?;
        let replica = RedisServer::start(Some(replication.address())).await?;
        let (address, watching) = watch::channel(primary.address());
        let servers = Self { primary, replica, replication, address };
        servers.in_step().await?;
        Ok((servers, watching))
    }

    /// Waits until the replica has all that the primary has.
    pub async fn in_step(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + IN_STEP_WITHIN;
        while Instant::now() < deadline {
            // What the primary had before the replica is asked: it goes on meanwhile.
            let primary = info(self.primary.address(), "master_repl_offset").await?;
            let replica = info(self.replica.address(), "slave_repl_offset").await;
            let reached =
                |replica: String| Some(replica.parse::<u64>().ok()? >= primary.parse().ok()?);
            if replica.is_ok_and(|replica| reached(replica) == Some(true))
                && info(self.replica.address(), "master_link_status").await? == "up"
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let primary = replication(self.primary.address()).await;
        let replica = replication(self.replica.address()).await;
        Err(format!("the replica does not get in step: {primary:?}, {replica:?}").into())
    }

    /// From now on the replica hears nothing new.
    pub fn cut_replication(&self) {
        self.replication.set(Link::Cut);
    }

    pub fn replica(&self) -> SocketAddr {
        self.replica.address()
    }

    /// From now on the replica gets so many bytes a second.
    pub fn throttle_replication(&self, bytes_per_second: u64) {
        self.replication.set(Link::Throttled(bytes_per_second));
    }

    pub fn open_replication(&self) {
        self.replication.set(Link::Open);
    }

    /// Writes so many bytes to the primary, which the replica has to read too.
    pub async fn write_noise(&self, bytes: u64) -> Result<(), Failure> {
        let mut connection = connect(self.primary.address()).await?;
        let piece = vec![b'.'; PIECE];
        let mut commands = redis::pipe();
        for _ in 0..bytes / PIECE as u64 {
            commands.cmd("SET").arg("chaos:noise").arg(&piece).ignore();
        }
        Ok(commands.query_async(&mut connection).await?)
    }

    /// How much of its history the primary has and the replica has not.
    pub async fn bytes_behind(&self) -> Result<i64, Failure> {
        let replica = info(self.replica.address(), "slave_repl_offset").await?;
        let primary = info(self.primary.address(), "master_repl_offset").await?;
        Ok(primary.parse::<i64>()? - replica.parse::<i64>()?)
    }

    /// Makes the replica the primary, in place of one that is down; which of them now has to be
    /// told to everybody by the caller. A new replica is started later.
    pub async fn promote(&mut self) -> Result<SocketAddr, Failure> {
        let mut connection = connect(self.replica.address()).await?;
        redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut connection).await?;
        std::mem::swap(&mut self.primary, &mut self.replica);
        let address = self.primary.address();
        if info(address, "role").await? != "master" {
            return Err("the replica was not promoted".into());
        }
        self.address.send_replace(address);
        Ok(address)
    }

    /// Puts a new replica in the place of the server that was primary before.
    pub async fn replace_replica(&mut self) -> Result<(), Failure> {
        self.replication = Proxy::to(self.primary.address()).await?;
        self.replica = RedisServer::start(Some(self.replication.address())).await?;
        Ok(())
    }
}

async fn replication(server: SocketAddr) -> Result<String, Failure> {
    let mut connection = connect(server).await?;
    Ok(redis::cmd("INFO").arg("replication").query_async(&mut connection).await?)
}

/// A field of `INFO replication`.
async fn info(server: SocketAddr, field: &str) -> Result<String, Failure> {
    let info = replication(server).await?;
    info.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| format!("INFO replication has no {field}").into())
}
