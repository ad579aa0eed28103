//! The server that a follower reads: found, and believed for as long as it is the right one.

use std::sync::Arc;

use caracal_revocation_event::Stream;
use caracal_revocation_state::{Moment, Outage, Revocations};

use super::address::Address;
use super::location::Topology;
use super::primary_monitor::PrimaryMonitor;
use super::quorum_votes::capped;
use super::slot_migration::{parse_ask_redirect, released_slot};
use crate::identity::Identity;
use crate::limits::{SIDE_DEADLINE, within};
use crate::log::AsOf;
use crate::log_error::LogError;
use crate::wire::{Certificates, Wire};

/// Where to read, and who vouches for it.
#[derive(Debug)]
pub(crate) struct Upstream {
    topology: Topology,
    certificates: Certificates,
    /// The stream that it is asked for; where one server has all, the first.
    stream: Stream,
    /// None where nobody is asked.
    monitor: Option<Arc<PrimaryMonitor>>,
    /// Who is vouched for, if somebody names it: the connection leads there, or where it says.
    at: Option<Address>,
    /// The same of the last connection.
    before: Option<Address>,
    /// The node to read with `ASKING`, while the slot migrates to it.
    asking: Option<Address>,
    /// Whether what was known of the owner was wrong.
    is_outdated: bool,
    /// The run id of the server before, if that still is what it was.
    moved_from: Option<Box<str>>,
    /// When the read at hand was sent.
    sent: Option<Moment>,
}

impl Upstream {
    /// Where to read each stream, by the clock of this state: in a cluster each from wherever it
    /// is, else all from one server. Begins to ask who that is, as tasks of the current runtime.
    pub(crate) fn all(
        topology: &Topology,
        certificates: &Certificates,
        revocations: &Revocations,
    ) -> Vec<(Self, Vec<Stream>)> {
        let revocations = revocations.clone();
        let monitor = match topology {
            Topology::One(_) => None,
            Topology::Sentinel(sentinels) => {
                Some(PrimaryMonitor::of_sentinels(sentinels, revocations))
            }
            Topology::Cluster(nodes) => Some(PrimaryMonitor::of_masters(nodes, revocations)),
        };
        let monitor = monitor.map(Arc::new);
        let of = |stream| Self {
            topology: topology.clone(),
            certificates: certificates.clone(),
            stream,
            monitor: monitor.clone(),
            at: None,
            before: None,
            asking: None,
            is_outdated: false,
            moved_from: None,
            sent: None,
        };
        match topology {
            Topology::Cluster(_) => Stream::ALL.map(|stream| (of(stream), vec![stream])).into(),
            _ => vec![(of(Stream::SessionsRevoke), Stream::ALL.to_vec())],
        }
    }

    /// A connection, and who is vouched for there, if somebody names it.
    pub(crate) async fn open(&self) -> Result<(Option<Address>, Wire), LogError> {
        let known = self.monitor.as_ref().filter(|_| !self.is_outdated);
        // What is known already saves asking, and knows better than a minority would.
        let known = known.and_then(|monitor| monitor.named(self.stream));
        let certificates = &self.certificates;
        match &self.topology {
            Topology::One(server) => Ok((None, Wire::open(server, certificates).await?)),
            Topology::Sentinel(sentinels) => {
                let primary = match known {
                    Some(primary) => primary,
                    None => sentinels.find().await?,
                };
                let connection = sentinels.connect_wire(&primary, certificates).await?;
                Ok((Some(primary), connection))
            }
            Topology::Cluster(nodes) => {
                if let (Some(there), Some(owner)) = (&self.asking, &self.before) {
                    let there = Wire::open(&nodes.at(there), certificates).await?;
                    return Ok((Some(owner.clone()), there));
                }
                let owner = match known {
                    Some(owner) => owner,
                    None => nodes.owner(self.stream.name()).await?,
                };
                let connection = Wire::open(&nodes.at(&owner), certificates).await?;
                Ok((Some(owner), connection))
            }
        }
    }

    /// It is the one that will be read from.
    pub(crate) async fn opened(&mut self, at: Option<Address>) {
        self.is_outdated = false;
        if let (Some(monitor), Some(primary)) = (&self.monitor, &at) {
            monitor.settle(self.stream, primary).await;
            if self.before != at || self.asking.is_some() {
                tracing::info!(stream = %self.stream, %primary, "reading from the primary that was named");
                self.moved_from = self.released_from().await;
                self.before.clone_from(&at);
            }
        }
        self.at = at;
    }

    /// Returns `true` if each command needs `ASKING` before it, because the slot is migrating.
    pub(crate) const fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// A read is about to be sent.
    pub(crate) const fn prepare(&mut self, now: Moment) {
        self.sent = Some(now);
    }

    /// Takes in who answers.
    pub(crate) fn accept_identity(&self, identity: &mut Identity) -> Result<(), LogError> {
        identity.moved_from.clone_from(&self.moved_from);
        match self.at {
            // It was a primary when it was connected to.
            Some(_) if identity.is_replica => Err(LogError::Replaced),
            _ => Ok(()),
        }
    }

    /// Opening or reading failed: whether the stream is elsewhere.
    pub(crate) fn failed(&mut self, error: &LogError) {
        let is_cluster = matches!(self.topology, Topology::Cluster(_));
        if is_cluster {
            self.asking = parse_ask_redirect(error, self.before.as_ref());
            self.is_outdated = matches!(error.outage(), Outage::Moved | Outage::Unreachable);
        }
    }

    /// Up to when the answer holds, given up to when the server itself would say: no longer than
    /// a majority calls it the primary. And the error if none has for a while.
    pub(crate) fn cap(&self, as_of: AsOf) -> Result<(AsOf, Option<LogError>), LogError> {
        let (Some(monitor), Some(at), Some(sent)) = (&self.monitor, &self.at, self.sent) else {
            return Ok((as_of, None));
        };
        if monitor.named(self.stream).is_some_and(|named| named != *at) {
            return Err(LogError::Replaced);
        }
        let is_unconfirmed = monitor.is_unconfirmed(self.stream, at, sent);
        let error = is_unconfirmed.then(|| self.unconfirmed(at));
        let holds = capped(as_of.moment(sent), monitor.confirmed(self.stream, at));
        Ok((holds.map_or(AsOf::Unknown, AsOf::At), error))
    }

    fn unconfirmed(&self, primary: &Address) -> LogError {
        let words =
            |who| format!("no majority of the {who} confirms that {primary} is the primary");
        match &self.topology {
            Topology::Cluster(_) => LogError::Cluster(Outage::NoPrimary, words("masters")),
            _ => LogError::Sentinel(Outage::NoPrimary, words("sentinels")),
        }
    }

    /// Returns the run id of the node that was read before, if it released the stream's slot.
    async fn released_from(&self) -> Option<Box<str>> {
        let (Topology::Cluster(nodes), Some(before)) = (&self.topology, &self.before) else {
            return None;
        };
        let asked = released_slot(nodes, before, self.stream, self.is_asking());
        within(SIDE_DEADLINE, asked).await.ok()?
    }
}
