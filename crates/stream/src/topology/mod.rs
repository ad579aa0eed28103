//! The servers of the streams: one server, the primary that sentinels name, or the masters of a
//! cluster.

mod address;
mod cluster;
mod links;
mod location;
mod primary_monitor;
mod quorum_votes;
mod sentinel;
mod slot_migration;
mod upstream;

pub(crate) use address::Address;
pub(crate) use cluster::Nodes;
pub use links::Links;
pub(crate) use location::Topology;
pub(crate) use sentinel::Sentinels;
pub(crate) use upstream::Upstream;
