//! A real sentinel that watches a real primary, as an operator would set it up.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use crate::child_guard::KillOnExit;
use crate::ports::free_port;
use crate::redis_server::STARTS_WITHIN;

/// The name of the primary at the sentinels.
pub const MASTER: &str = "caracal";

/// One sentinel in its own temporary folder.
#[derive(Debug)]
pub struct Sentinel {
    folder: TempDir,
    port: u16,
    _process: KillOnExit,
}

impl Sentinel {
    /// Starts a sentinel that watches the server on this port, with extra lines of configuration.
    /// Two sentinels must agree that it is down.
    pub fn start(primary: u16, more: &str) -> io::Result<Self> {
        let (folder, port) = (TempDir::with_prefix("sentinel-")?, free_port()?);
        let configuration = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {MASTER} 2000\n\
             sentinel failover-timeout {MASTER} 3000\n{more}\n"
        );
        std::fs::write(folder.path().join("sentinel.conf"), configuration)?;
        let process = KillOnExit::spawn(
            Command::new("redis-server")
                .arg(folder.path().join("sentinel.conf"))
                .arg("--sentinel")
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )?;
        Ok(Self { folder, port, _process: process })
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its socket address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Opens a connection, once the sentinel accepts one.
    pub async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}", self.address())).expect("a URL");
        let start = Instant::now();
        loop {
            match client.get_multiplexed_async_connection().await {
                Ok(connection) => return connection,
                Err(error) => {
                    assert!(start.elapsed() < STARTS_WITHIN, "{error} {:?}", self.folder);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the sentinel knows this many other sentinels, and a replica to promote.
    pub async fn wait_for_peers(&self, others: u64) {
        let start = Instant::now();
        let mut connection = self.connection().await;
        loop {
            let mut command = redis::cmd("SENTINEL");
            command.arg("MASTER").arg(MASTER);
            let fields: HashMap<String, String> =
                command.query_async(&mut connection).await.expect("a known primary");
            let number = |field| fields.get(field).and_then(|text| text.parse().ok()).unwrap_or(0);
            if number("num-other-sentinels") >= others && number("num-slaves") >= 1 {
                return;
            }
            assert!(start.elapsed() < STARTS_WITHIN, "the sentinels do not find each other");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
