//! Where Redis is, however it is run: one server, or whichever ones Sentinel or a cluster names.

mod cluster;
mod links;
mod primary_monitor;
mod quorum_votes;
mod sentinel;
mod slot_migration;
mod upstream;

pub(crate) use cluster::Nodes;
pub use links::Links;
pub(crate) use sentinel::Sentinels;
pub(crate) use upstream::Upstream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::Moment;
use redis::{ConnectionAddr, ConnectionInfo};

use crate::connection::Connection;
use crate::log_error::LogError;

/// Where the streams are.
#[derive(Clone, Debug)]
pub(crate) enum Topology {
    /// At one address.
    One(Box<ConnectionInfo>),
    /// On the primary that the sentinels name.
    Sentinel(Arc<Sentinels>),
    /// Each on the master that owns its slot.
    Cluster(Arc<Nodes>),
}

/// Where a question is asked only once, it does not matter when.
const NEVER: Moment = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

impl Topology {
    /// The addresses, and the database where it can be chosen: for a log.
    pub(crate) fn place(&self) -> Box<str> {
        match self {
            Self::One(server) => format!("{self}, database {}", server.redis_settings().db()),
            Self::Sentinel(_) | Self::Cluster(_) => self.to_string(),
        }
        .into()
    }

    /// A connection to the server that takes writes to this key.
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
}

impl Address {
    /// The same login, and the same certificates, at this address.
    pub(crate) fn of(&self, like: &ConnectionInfo) -> ConnectionInfo {
        let (host, port) = (self.host.to_string(), self.port);
        let address = match like.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        like.clone().set_addr(address)
    }
}

/// The addresses, and no login.
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
