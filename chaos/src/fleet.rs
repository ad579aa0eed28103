//! The servers of a schedule.

use crate::elected::Elected;
use crate::failure::Failure;
use crate::links::Place;
use crate::servers::Servers;

#[derive(Debug)]
pub enum Fleet {
    /// A primary and a replica. Only the harness promotes the replica.
    Pair(Servers),
    /// Sentinels or a cluster, which promote a replica themselves.
    Elected(Elected),
}

impl Fleet {
    /// Returns the primary and its replica, for faults of a pair.
    pub fn pair(&mut self) -> Result<&mut Servers, Failure> {
        match self {
            Self::Pair(servers) => Ok(servers),
            Self::Elected(_) => Err("the fault needs a primary that nobody replaces".into()),
        }
    }

    /// Returns the servers, for faults of sentinels or a cluster.
    pub fn elected(&mut self) -> Result<&mut Elected, Failure> {
        match self {
            Self::Elected(elected) => Ok(elected),
            Self::Pair(_) => Err("the fault needs sentinels or a cluster".into()),
        }
    }

    /// Returns what readers follow.
    pub fn place(&self) -> Place {
        match self {
            Self::Pair(servers) => Place::Server(servers.primary.address(), 0),
            Self::Elected(elected) => elected.place(),
        }
    }
}
