//! The location of the streams: one server, a primary behind sentinels, or a cluster.

use std::fmt;
use std::sync::Arc;

use redis::ConnectionInfo;

use super::cluster::Nodes;
use super::sentinel::Sentinels;
use crate::connection::Connection;
use crate::log_error::LogError;
use crate::wire::{Certificates, Wire};

/// The servers of the streams.
#[derive(Clone, Debug)]
pub(crate) enum Topology {
    /// One server at this address.
    One(Box<ConnectionInfo>),
    /// The primary that the sentinels name.
    Sentinel(Arc<Sentinels>),
    /// A cluster: each stream is on the master that owns its slot.
    Cluster(Arc<Nodes>),
}

impl Topology {
    /// Returns the addresses for the log, with the database if it can be chosen.
    pub(crate) fn place(&self) -> Box<str> {
        match self {
            Self::One(server) => format!("{self}, database {}", server.redis_settings().db()),
            Self::Sentinel(_) | Self::Cluster(_) => self.to_string(),
        }
        .into()
    }

    /// Opens a connection to the server that accepts writes to this key.
    pub(crate) async fn open(&self, key: &str) -> Result<Connection, LogError> {
        match self {
            Self::One(server) => Connection::open(server).await,
            Self::Sentinel(sentinels) => {
                let primary = sentinels.find().await?;
                sentinels.connect(&primary).await
            }
            Self::Cluster(nodes) => nodes.connect(&nodes.owner(key).await?).await,
        }
    }

    /// Opens a connection for reading entries, to the server that accepts writes to this key.
    pub(crate) async fn open_wire(
        &self,
        key: &str,
        certificates: &Certificates,
    ) -> Result<Wire, LogError> {
        match self {
            Self::One(server) => Wire::open(server, certificates).await,
            Self::Sentinel(sentinels) => {
                let primary = sentinels.find().await?;
                sentinels.connect_wire(&primary, certificates).await
            }
            Self::Cluster(nodes) => {
                let owner = nodes.owner(key).await?;
                Wire::open(&nodes.at(&owner), certificates).await
            }
        }
    }
}

/// Writes the addresses, without a login.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(server) => server.addr().fmt(f),
            Self::Sentinel(sentinels) => sentinels.fmt(f),
            Self::Cluster(nodes) => {
                f.write_str("a cluster at")?;
                nodes.seeds().iter().try_for_each(|node| write!(f, " {node}"))
            }
        }
    }
}
