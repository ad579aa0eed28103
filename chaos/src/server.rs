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
pub struct RedisServer(redis_server::RedisServer);

impl RedisServer {
    pub async fn start(replica_of: Option<SocketAddr>) -> Result<Self, Failure> {
        let port = replica_of.map(|primary| primary.port().to_string());
        let mut arguments = ARGUMENTS.to_vec();
        if let Some(port) = &port {
            arguments.extend(["--replicaof", "127.0.0.1", port]);
        }
        for _ in 0..10 {
            let mut server = Self(redis_server::RedisServer::launch(&arguments)?);
            if server.wait_until_up().await? {
                return Ok(server);
            }
            // Another process took the port before the server did.
        }
        Err("redis-server does not start".into())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    pub fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.0.process().kill()?)
    }

    /// Sends SIGTERM, and waits until the server has ended.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        signal(self.0.process().id(), "-TERM")?;
        let deadline = Instant::now() + STARTS_WITHIN;
        while !self.0.process().has_ended()? {
            if Instant::now() > deadline {
                return Err("redis-server does not end".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill()
    }

    /// Starts it again as a primary, with the same port and files.
    pub async fn restart(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            self.0.relaunch(&ARGUMENTS)?;
            if self.wait_until_up().await? {
                return Ok(());
            }
        }
        Err("redis-server does not come back".into())
    }

    pub fn freeze(&self) {
        self.0.freeze();
    }

    pub fn thaw(&self) {
        self.0.thaw();
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
        let log = std::fs::read_to_string(self.0.folder().join("log"))?;
        Ok(log.matches("output buffer limits").count())
    }

    fn persisted(&self) -> PathBuf {
        self.0.folder().join("appendonlydir")
    }

    async fn wait_until_up(&mut self) -> Result<bool, Failure> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            if self.0.process().has_ended()? {
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

/// Returns `true` if the server answers a PING, and so has loaded its data.
pub async fn answers(server: SocketAddr) -> bool {
    let ping = async {
        let mut connection = connect(server).await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await.map_err(Failure::from)
    };
    let within = Duration::from_millis(300);
    matches!(tokio::time::timeout(within, ping).await, Ok(Ok(pong)) if pong == "PONG")
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
