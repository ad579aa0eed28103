//! A real cluster: three masters that share all slots, and a replica of the last.

use std::time::{Duration, Instant};

use caracal_revocation::Settings;
use caracal_revocation::wire::Stream;
use redis::aio::MultiplexedConnection;

use crate::live::{TIMEOUT, ring};
use crate::redis_server::RedisServer;
use crate::sentinel_fleet::list;

pub(crate) struct Cluster {
    pub(crate) masters: Vec<RedisServer>,
    pub(crate) replica: RedisServer,
}

/// The first and last slot of each master.
const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(more: &[&str]) -> Self {
        let arguments =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendonly", "yes"];
        let arguments = [&arguments, more].concat();
        let masters: Vec<_> = SLOTS.iter().map(|_| RedisServer::start_with(&arguments)).collect();
        let cluster = Self { masters, replica: RedisServer::start_with(&arguments) };
        for (master, (first, last)) in cluster.masters.iter().zip(SLOTS) {
            cluster_command(master, &["ADDSLOTSRANGE", &first.to_string(), &last.to_string()])
                .await;
        }
        for other in cluster.masters[1..].iter().chain([&cluster.replica]) {
            let port = other.port().to_string();
            cluster_command(&cluster.masters[0], &["MEET", "127.0.0.1", &port]).await;
        }
        for node in cluster.nodes() {
            wait_for_answer(node, &["INFO"], "cluster_known_nodes:4").await;
            wait_for_answer(node, &["INFO"], "cluster_state:ok").await;
        }
        let id = id(&cluster.masters[HOME]).await;
        cluster_command(&cluster.replica, &["REPLICATE", &id]).await;
        for node in cluster.nodes() {
            wait_for_answer(node, &["NODES"], &format!("slave {id}")).await;
        }
        let start = Instant::now();
        let mut replica = cluster.replica.connection().await;
        loop {
            let info: String =
                redis::cmd("INFO").arg("replication").query_async(&mut replica).await.unwrap();
            if info.contains("master_link_status:up") {
                return cluster;
            }
            assert!(start.elapsed() < TIMEOUT, "{info}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &RedisServer> {
        self.masters.iter().chain([&self.replica])
    }

    pub(crate) fn addresses(&self) -> String {
        list(self.nodes().map(RedisServer::port))
    }

    pub(crate) fn settings(&self) -> Settings {
        settings(&self.addresses(), &[])
    }

    /// Connects to the master that owned this key's slot at the start.
    pub(crate) async fn connection(&self, key: &str) -> MultiplexedConnection {
        let slot = slot(&self.masters[HOME], key).await;
        let owner = SLOTS.iter().position(|(first, last)| (*first..=*last).contains(&slot));
        self.masters[owner.unwrap()].connection().await
    }
}

/// Index of the master that owns `sessions.revoke` and has the replica.
pub(crate) const HOME: usize = 2;

pub(crate) fn settings(nodes: &str, more: &[(&str, &str)]) -> Settings {
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_CLUSTER_NODES" => Some(nodes.to_owned()),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => more.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned()),
    });
    settings.unwrap().with_keys(ring())
}

pub(crate) async fn cluster_command(node: &RedisServer, arguments: &[&str]) -> redis::Value {
    let mut connection = node.connection().await;
    redis::cmd("CLUSTER").arg(arguments).query_async(&mut connection).await.unwrap()
}

async fn id(node: &RedisServer) -> String {
    redis::from_redis_value(cluster_command(node, &["MYID"]).await).unwrap()
}

async fn slot(node: &RedisServer, key: &str) -> u16 {
    redis::from_redis_value(cluster_command(node, &["KEYSLOT", key]).await).unwrap()
}

async fn wait_for_answer(node: &RedisServer, arguments: &[&str], text: &str) {
    let start = Instant::now();
    loop {
        let answer: String =
            redis::from_redis_value(cluster_command(node, arguments).await).unwrap();
        if answer.contains(text) {
            return;
        }
        assert!(start.elapsed() < TIMEOUT, "{text} never in {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A slot that moves from one master to another, with its stream.
pub(crate) struct Move<'c> {
    from: &'c RedisServer,
    to: &'c RedisServer,
    all: Vec<&'c RedisServer>,
    key: &'static str,
}

impl<'c> Move<'c> {
    pub(crate) fn of(cluster: &'c Cluster, stream: Stream, from: usize, to: usize) -> Self {
        let (from, to) = (&cluster.masters[from], &cluster.masters[to]);
        Self { from, to, all: cluster.masters.iter().collect(), key: stream.name() }
    }

    /// Moves the stream to the new master, which does not own the slot yet.
    pub(crate) async fn begin(&self) {
        let slot = slot(self.from, self.key).await.to_string();
        let (from, to) = (id(self.from).await, id(self.to).await);
        cluster_command(self.to, &["SETSLOT", &slot, "IMPORTING", &from]).await;
        cluster_command(self.from, &["SETSLOT", &slot, "MIGRATING", &to]).await;
        let mut connection = self.from.connection().await;
        let mut command = redis::cmd("MIGRATE");
        command.arg("127.0.0.1").arg(self.to.port()).arg(self.key).arg(0).arg(5_000);
        command.exec_async(&mut connection).await.unwrap();
    }

    pub(crate) async fn end(&self) {
        let slot = slot(self.from, self.key).await.to_string();
        let to = id(self.to).await;
        for node in [self.to].iter().chain(&self.all) {
            cluster_command(node, &["SETSLOT", &slot, "NODE", &to]).await;
        }
    }
}
