//! A real redis-server that the harness can kill, freeze and promote.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use caracal_test_support::child_guard::signal;
use caracal_test_support::redis_server::{self, STARTS_WITHIN};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use crate::append_only_file::{self, EntryId};
use crate::failure::Failure;

/// The time limit for an answer: longer than the slowest machine needs. Beyond it, the harness has
/// failed, not the tested code.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
const IN_STEP_WITHIN: Duration = Duration::from_secs(60);

/// The server writes every command to disk before it acknowledges it. A kill then loses only what
/// the harness removes.
const ARGUMENTS: [&str; 10] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--repl-diskless-sync-delay",
    "0",
    "--repl-timeout",
    "5",
    "--logfile",
    "log",
];

/// A redis-server whose data the harness can remove.
#[derive(Debug)]
pub struct RedisServer {
    server: redis_server::RedisServer,
    /// The arguments for every start, in addition to the common ones.
    more: &'static [&'static str],
}

impl RedisServer {
    pub async fn start(replica_of: Option<SocketAddr>) -> Result<Self, Failure> {
        Self::start_with(&[], replica_of).await
    }

    /// Starts a server with these arguments in addition to the common ones.
    pub async fn start_with(
        more: &'static [&'static str],
        replica_of: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        for _ in 0..10 {
            let server = redis_server::RedisServer::launch(&as_str(&arguments(more, replica_of)))?;
            let mut server = Self { server, more };
            if server.wait_until_up().await? {
                return Ok(server);
            }
            // Another process took the port before the server did.
        }
        Err("redis-server does not start".into())
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.server.process().kill()?)
    }

    /// Sends SIGTERM, and waits until the server has ended.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        signal(self.server.process().id(), "-TERM")?;
        let deadline = Instant::now() + STARTS_WITHIN;
        while !self.server.process().has_ended()? {
            if Instant::now() > deadline {
                return Err("redis-server does not end".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill()
    }

    /// Starts it again with the same port and files, as a primary or as a replica.
    pub async fn restart(&mut self, replica_of: Option<SocketAddr>) -> Result<(), Failure> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            self.server.relaunch(&as_str(&arguments(self.more, replica_of)))?;
            if self.wait_until_up().await? {
                return Ok(());
            }
        }
        Err("redis-server does not come back".into())
    }

    pub fn freeze(&self) {
        self.server.freeze();
    }

    pub fn thaw(&self) {
        self.server.thaw();
    }

    pub async fn answers(&self) -> bool {
        answers(self.address()).await
    }

    /// Cuts the end off the append-only file of a server that is down. Returns how many bytes.
    pub fn lose_tail(&self, bytes: u64) -> Result<u64, Failure> {
        let parts = append_only_file::parts(&self.persisted())?;
        let Some(last) = parts.last() else { return Ok(0) };
        let file = std::fs::OpenOptions::new().write(true).open(last)?;
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(bytes))?;
        Ok(bytes.min(length))
    }

    /// Returns the entries in the append-only file of a server that is down.
    pub fn entries(&self) -> Result<Vec<EntryId>, Failure> {
        append_only_file::entries(&self.persisted())
    }

    /// Removes the append-only file of a server that is down.
    pub fn lose_all(&self) -> Result<(), Failure> {
        std::fs::remove_dir_all(self.persisted())?;
        Ok(())
    }

    /// Returns how many connections it has closed because a reply was above their limit.
    pub fn closed_for_size(&self) -> Result<usize, Failure> {
        let log = std::fs::read_to_string(self.server.folder().join("log"))?;
        Ok(log.matches("output buffer limits").count())
    }

    fn persisted(&self) -> PathBuf {
        self.server.folder().join("appendonlydir")
    }

    async fn wait_until_up(&mut self) -> Result<bool, Failure> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            if self.server.process().has_ended()? {
                return Ok(false);
            }
            if self.answers().await {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(false)
    }
}

fn arguments(more: &[&str], replica_of: Option<SocketAddr>) -> Vec<String> {
    let mut arguments: Vec<String> =
        ARGUMENTS.iter().chain(more).map(|text| (*text).to_owned()).collect();
    if let Some(primary) = replica_of {
        let (host, port) = (primary.ip().to_string(), primary.port().to_string());
        arguments.extend(["--replicaof".to_owned(), host, port]);
    }
    arguments
}

fn as_str(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Returns `true` if the server answers, and so has loaded its data.
pub async fn answers(server: SocketAddr) -> bool {
    let echo = async {
        let mut connection = connect(server).await?;
        let mut command = redis::cmd("ECHO");
        command.arg("up").query_async::<String>(&mut connection).await.map_err(Failure::from)
    };
    let within = Duration::from_millis(300);
    matches!(tokio::time::timeout(within, echo).await, Ok(Ok(text)) if text == "up")
}

/// Waits until the replica has everything that the primary has.
pub async fn in_step(primary: SocketAddr, replica: SocketAddr) -> Result<(), Failure> {
    let deadline = Instant::now() + IN_STEP_WITHIN;
    while Instant::now() < deadline {
        // The offset is read first, because the primary continues to write.
        let written = info(primary, "master_repl_offset").await?;
        let read = info(replica, "slave_repl_offset").await;
        let reached = |read: String| Some(read.parse::<u64>().ok()? >= written.parse().ok()?);
        if read.is_ok_and(|read| reached(read) == Some(true))
            && info(replica, "master_link_status").await? == "up"
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (primary, replica) = (replication(primary).await, replication(replica).await);
    Err(format!("the replica does not catch up: {primary:?}, {replica:?}").into())
}

async fn replication(server: SocketAddr) -> Result<String, Failure> {
    let mut connection = connect(server).await?;
    Ok(redis::cmd("INFO").arg("replication").query_async(&mut connection).await?)
}

/// Returns a field of `INFO replication`.
pub async fn info(server: SocketAddr, field: &str) -> Result<String, Failure> {
    let info = replication(server).await?;
    info.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| format!("INFO replication has no {field}").into())
}

/// Opens a connection of the harness itself, with a long deadline.
pub async fn connect(server: SocketAddr) -> Result<MultiplexedConnection, Failure> {
    connect_within(server, ANSWERS_WITHIN).await
}

/// Opens a connection whose commands fail after the deadline.
pub async fn connect_within(
    server: SocketAddr,
    deadline: Duration,
) -> Result<MultiplexedConnection, Failure> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadline))
        .set_response_timeout(Some(deadline));
    let client = Client::open(format!("redis://{server}"))?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}
