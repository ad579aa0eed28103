//! Real sentinels that watch real servers, as an operator would set them up.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::stream::SettingsError;
use caracal_revocation::{Follower, Revocations, Settings};
use tempfile::TempDir;

use crate::live::{TIMEOUT, ring};
use crate::ports::free_port;
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;

pub(crate) const MASTER: &str = "caracal";

/// One sentinel in its own temporary folder.
pub(crate) struct Sentinel {
    folder: TempDir,
    pub(crate) port: u16,
    process: Child,
}

impl Sentinel {
    /// Starts a sentinel that watches the server on this port, with extra lines of configuration.
    pub(crate) fn start(primary: u16, more: &str) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port().unwrap());
        let configuration = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel failover-timeout {MASTER} 3000\n{more}\n"
        );
        std::fs::write(folder.path().join("sentinel.conf"), configuration).unwrap();
        let process = Command::new("redis-server")
            .arg(folder.path().join("sentinel.conf"))
            .arg("--sentinel")
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        Self { folder, port, process }
    }

    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let start = Instant::now();
        loop {
            match client.get_multiplexed_async_connection().await {
                Ok(connection) => return connection,
                Err(error) => assert!(start.elapsed() < TIMEOUT, "{error} {:?}", self.folder),
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Returns a numeric field of the sentinel's entry for the primary.
    async fn number(&self, field: &str) -> u64 {
        let mut connection = self.connection().await;
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(MASTER);
        let fields: std::collections::HashMap<String, String> =
            command.query_async(&mut connection).await.unwrap();
        fields.get(field).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Waits until the sentinel knows the other sentinels and a replica to promote.
    pub(crate) async fn wait_for_peers(&self, others: u64) {
        let start = Instant::now();
        while self.number("num-other-sentinels").await < others
            || self.number("num-slaves").await < 1
        {
            assert!(start.elapsed() < TIMEOUT, "the sentinels do not find each other");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a primary and a replica that is linked to it.
pub(crate) async fn pair(arguments: &[&str]) -> (RedisServer, RedisServer) {
    let (primary, replica) =
        (RedisServer::start_with(arguments), RedisServer::start_with(arguments));
    let mut connection = replica.connection().await;
    let mut command = redis::cmd("REPLICAOF");
    command.arg("127.0.0.1").arg(primary.port());
    command.exec_async(&mut connection).await.unwrap();
    let start = Instant::now();
    loop {
        let info: String =
            redis::cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap();
        if info.contains("master_link_status:up") {
            return (primary, replica);
        }
        assert!(start.elapsed() < TIMEOUT, "the replica is not linked");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

pub(crate) async fn proxies(sentinels: &[Sentinel]) -> Vec<Proxy> {
    let mut proxies = Vec::new();
    for sentinel in sentinels {
        proxies.push(Proxy::to(sentinel.port).await);
    }
    proxies
}

pub(crate) fn list(ports: impl Iterator<Item = u16>) -> String {
    ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
}

/// Returns settings that name these sentinels, with further settings in `more`.
pub(crate) fn settings(sentinels: &str, more: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_SENTINELS" => Some(sentinels.to_owned()),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => {
            let given = more.iter().find(|(given, _)| *given == name);
            let default = (name == "REDIS_SENTINEL_MASTER").then_some(MASTER);
            given.map(|(_, value)| *value).or(default).map(str::to_owned)
        }
    });
    settings.map(|settings| settings.with_keys(ring()))
}

pub(crate) fn follow(settings: Settings, bound: std::time::Duration) -> Revocations {
    let mut options = Options::default();
    options.deny_after = bound;
    options.warn_after = options.warn_after.min(bound);
    Follower::new(settings).with_writer(RevocationsWriter::new(options)).spawn()
}
