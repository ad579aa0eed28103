//! Primaries, replicas and settings for tests with sentinels.

use std::time::Instant;

use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::stream::SettingsError;
use caracal_revocation::{Follower, Revocations, Settings};
use caracal_test_support::sentinel::{MASTER, Sentinel};

use crate::live::{TIMEOUT, ring};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;

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
        proxies.push(Proxy::to(sentinel.port()).await);
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
