//! Real redis-servers: a primary and its replica, which can be killed, frozen and promoted.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tempfile::TempDir;

use crate::Failure;
use crate::leash::Leashed;

/// Longer than the slowest machine needs: then the harness has failed, not what it tests.
const STARTS_WITHIN: Duration = Duration::from_secs(120);
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// One redis-server, in a folder of its own; gone when it is dropped, and when this program ends.
#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    process: Leashed,
}

impl RedisServer {
    /// Starts a server with every write on disk before it is acknowledged: what a kill loses is
    /// then what the harness takes away, and known.
    pub async fn start(replica_of: Option<SocketAddr>) -> Result<Self, Failure> {
        for _ in 0..10 {
            let folder = TempDir::with_prefix("chaos-redis-")?;
            let port = free_port()?;
            let process = launch(&folder, port, replica_of)?;
            let mut server = Self { folder, port, process };
            if server.wait_until_up().await? {
                return Ok(server);
            }
            // Somebody else took the port in between.
        }
        Err("redis-server does not start".into())
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.process.kill()?)
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        signal(self.process.id(), "-TERM")?;
        let deadline = Instant::now() + STARTS_WITHIN;
        while !self.process.has_ended()? {
            if Instant::now() > deadline {
                return Err("redis-server does not end".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill()
    }

    /// On the same port and the files that are there.
    pub async fn restart(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            self.process = launch(&self.folder, self.port, None)?;
            if self.wait_until_up().await? {
                return Ok(());
            }
        }
        Err("redis-server does not come back".into())
    }

    pub fn freeze(&self) -> Result<(), Failure> {
        signal(self.process.id(), "-STOP")
    }

    pub fn thaw(&self) -> Result<(), Failure> {
        signal(self.process.id(), "-CONT")
    }

    pub async fn answers(&self) -> bool {
        answers(self.address()).await
    }

    /// Cuts the end off the append-only file of a server that is down; how many bytes.
    pub fn lose_tail(&self, bytes: u64) -> Result<u64, Failure> {
        let mut parts: Vec<PathBuf> = std::fs::read_dir(self.persisted())?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        parts.retain(|path| path.to_string_lossy().ends_with(".incr.aof"));
        parts.sort();
        let Some(last) = parts.last() else { return Ok(0) };
        let file = std::fs::OpenOptions::new().write(true).open(last)?;
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(bytes))?;
        Ok(bytes.min(length))
    }

    /// Removes the append-only file of a server that is down.
    pub fn lose_all(&self) -> Result<(), Failure> {
        std::fs::remove_dir_all(self.persisted())?;
        Ok(())
    }

    /// How many connections it has closed because an answer was too large for their limit.
    pub fn closed_for_size(&self) -> Result<usize, Failure> {
        let log = std::fs::read_to_string(self.folder.path().join("log"))?;
        Ok(log.matches("output buffer limits").count())
    }

    fn persisted(&self) -> PathBuf {
        self.folder.path().join("appendonlydir")
    }

    async fn wait_until_up(&mut self) -> Result<bool, Failure> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            if self.process.has_ended()? {
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

fn launch(folder: &TempDir, port: u16, replica_of: Option<SocketAddr>) -> Result<Leashed, Failure> {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--repl-diskless-sync-delay", "0", "--repl-timeout", "5"])
        .arg("--dir")
        .arg(folder.path())
        .arg("--logfile")
        .arg(folder.path().join("log"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(primary) = replica_of {
        command.args(["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    }
    Leashed::spawn(&mut command).map_err(|error| {
        format!("redis-server cannot be run (on Debian: apt-get install redis-server): {error}")
            .into()
    })
}

pub fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub fn signal(process: u32, signal: &str) -> Result<(), Failure> {
    let status = Command::new("kill").arg(signal).arg(process.to_string()).status()?;
    if status.success() { Ok(()) } else { Err(format!("kill {signal} {process} failed").into()) }
}

/// Whether it answers, and has loaded its data.
pub async fn answers(server: SocketAddr) -> bool {
    let ping = async {
        let mut connection = connect(server).await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await.map_err(Failure::from)
    };
    let within = Duration::from_millis(300);
    matches!(tokio::time::timeout(within, ping).await, Ok(Ok(pong)) if pong == "PONG")
}

/// A connection of the harness itself, to a server that answers.
pub async fn connect(server: SocketAddr) -> Result<MultiplexedConnection, Failure> {
    connect_within(server, ANSWERS_WITHIN).await
}

/// A connection on which no command takes longer.
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
