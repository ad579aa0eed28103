//! The links of one reader: a proxy in front of each server that it may use.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use caracal_test_support::sentinel::MASTER;

use crate::failure::Failure;
use crate::proxy::{Link, Proxy, Socket};
use crate::renames::Renames;

/// The servers that a reader is told to follow.
#[derive(Clone, Debug)]
pub enum Place {
    /// A database of one server.
    Server(SocketAddr, u8),
    /// The primary that these sentinels name, which is one of these servers.
    Sentinels { sentinels: Vec<SocketAddr>, servers: Vec<SocketAddr> },
    /// The nodes of a cluster.
    Cluster(Vec<SocketAddr>),
}

/// The proxies of one reader.
#[derive(Debug)]
pub struct Links {
    place: Place,
    /// Each server, and the proxy in front of it. Sentinels come first.
    proxies: Vec<(SocketAddr, Proxy)>,
}

impl Links {
    pub async fn to(place: Place) -> Result<Self, Failure> {
        let servers = match &place {
            Place::Server(server, _) => vec![*server],
            Place::Sentinels { sentinels, servers } => [&sentinels[..], servers].concat(),
            Place::Cluster(nodes) => nodes.clone(),
        };
        let mut sockets = Vec::new();
        for server in servers {
            sockets.push((server, Socket::bind().await?));
        }
        let renames = match &place {
            // It names no other server.
            Place::Server(..) => Renames::default(),
            Place::Sentinels { .. } | Place::Cluster(_) => {
                let mut pairs = Vec::new();
                for (server, socket) in &sockets {
                    pairs.push((server.port(), socket.address()?.port()));
                }
                Renames::of(pairs)?
            }
        };
        let mut proxies = Vec::new();
        for (server, socket) in sockets {
            proxies.push((server, socket.forward(server, renames.clone())?));
        }
        Ok(Self { place, proxies })
    }

    /// Returns the settings that lead a reader through the proxies.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let list = |count: usize| {
            let proxies = self.proxies.iter().take(count);
            proxies.map(|(_, proxy)| proxy.address().to_string()).collect::<Vec<_>>().join(",")
        };
        match &self.place {
            Place::Server(_, database) => {
                vec![("REDIS_URL", format!("redis://{}/{database}", list(1)))]
            }
            Place::Sentinels { sentinels, .. } => vec![
                ("REDIS_SENTINELS", list(sentinels.len())),
                ("REDIS_SENTINEL_MASTER", MASTER.to_owned()),
            ],
            Place::Cluster(nodes) => vec![("REDIS_CLUSTER_NODES", list(nodes.len()))],
        }
    }

    /// Sets every link.
    pub fn set(&self, link: Link) {
        self.proxies.iter().for_each(|(_, proxy)| proxy.set(link));
    }

    /// Sets the links to these servers.
    pub fn set_to(&self, servers: &[SocketAddr], link: Link) {
        let proxies = self.proxies.iter().filter(|(server, _)| servers.contains(server));
        proxies.for_each(|(_, proxy)| proxy.set(link));
    }

    /// Opens every link for new connections only: existing ones stay silent.
    pub fn open_for_new(&self) {
        self.proxies.iter().for_each(|(_, proxy)| proxy.open_for_new());
    }

    /// Leads every proxy to another server.
    pub fn turn_to(&self, server: SocketAddr) {
        self.proxies.iter().for_each(|(_, proxy)| proxy.turn_to(server));
    }

    /// Returns the number of connections.
    pub fn alive(&self) -> usize {
        self.proxies.iter().map(|(_, proxy)| proxy.traffic().alive.load(Ordering::SeqCst)).sum()
    }

    /// Returns how many connections were reset or refused because a link was cut.
    pub fn reset(&self) -> u64 {
        self.proxies.iter().map(|(_, proxy)| proxy.traffic().reset.load(Ordering::SeqCst)).sum()
    }

    /// Returns how many reads had to wait for a stalled or slow link.
    pub fn held(&self) -> u64 {
        self.proxies.iter().map(|(_, proxy)| proxy.traffic().held.load(Ordering::SeqCst)).sum()
    }
}
