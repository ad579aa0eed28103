//! The server that a follower reads: finds it, and uses it while it is confirmed as the right one.

use std::sync::Arc;

use caracal_revocation_event::Stream;
use caracal_revocation_state::{Moment, OutageCause, Revocations};

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

/// The server to read, and the quorum that confirms it.
#[derive(Debug)]
pub(crate) struct Upstream {
    topology: Topology,
    certificates: Certificates,
    /// The stream that is read here, or the first stream if one server has all.
    stream: Stream,
    /// The quorum to ask, if there is one.
    monitor: Option<Arc<PrimaryMonitor>>,
    /// The named primary that the connection leads to, or that redirected the connection with
    /// `ASK`.
    at: Option<Address>,
    /// The named primary of the last connection.
    before: Option<Address>,
    /// The node to read with `ASKING`, while the slot migrates to it.
    ask_target: Option<Address>,
    /// `true` if the known owner is outdated.
    is_outdated: bool,
    /// The run id of the previous node, if that node released the stream's slot.
    moved_from: Option<Box<str>>,
    /// The time at which the current read was sent.
    sent: Option<Moment>,
}

impl Upstream {
    /// Returns an upstream for each stream of a cluster, or one for all streams. Begins to ask the
    /// quorum, as tasks of the current runtime, by the clock of this state.
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
            ask_target: None,
            is_outdated: false,
            moved_from: None,
            sent: None,
        };
        match topology {
            Topology::Cluster(_) => Stream::ALL.map(|stream| (of(stream), vec![stream])).into(),
            _ => vec![(of(Stream::SessionsRevoke), Stream::ALL.to_vec())],
        }
    }

    /// Opens a connection. Returns it with the named primary, if a quorum names one.
    pub(crate) async fn open(&self) -> Result<(Option<Address>, Wire), LogError> {
        let known = self.monitor.as_ref().filter(|_| !self.is_outdated);
        // Using the known primary saves a question, and a minority might answer with an older one.
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
                if let (Some(there), Some(owner)) = (&self.ask_target, &self.before) {
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

    /// Records that the connection to this server is the one to read from.
    pub(crate) async fn opened(&mut self, at: Option<Address>) {
        self.is_outdated = false;
        if let (Some(monitor), Some(primary)) = (&self.monitor, &at) {
            monitor.settle(self.stream, primary).await;
            if self.before != at || self.ask_target.is_some() {
                tracing::info!(stream = %self.stream, %primary, "reading from the primary that was named");
                self.moved_from = self.released_from().await;
                self.before.clone_from(&at);
            }
        }
        self.at = at;
    }

    /// Returns `true` if each command needs `ASKING` before it, because the slot is migrating.
    pub(crate) const fn is_asking(&self) -> bool {
        self.ask_target.is_some()
    }

    /// Records that a read is about to be sent.
    pub(crate) const fn prepare(&mut self, now: Moment) {
        self.sent = Some(now);
    }

    /// Checks the identity of the server that answers.
    pub(crate) fn accept_identity(&self, identity: &mut Identity) -> Result<(), LogError> {
        identity.moved_from.clone_from(&self.moved_from);
        match self.at {
            // It was a primary when the connection was opened.
            Some(_) if identity.is_replica => Err(LogError::Replaced),
            _ => Ok(()),
        }
    }

    /// Records that opening or reading failed, and whether the stream is on another node.
    pub(crate) fn failed(&mut self, error: &LogError) {
        let is_cluster = matches!(self.topology, Topology::Cluster(_));
        if is_cluster {
            self.ask_target = parse_ask_redirect(error, self.before.as_ref());
            self.is_outdated =
                matches!(error.outage(), OutageCause::Moved | OutageCause::Unreachable);
        }
    }

    /// Limits the time up to which the answer is complete to the last time at which a majority
    /// confirmed this primary. Returns an error with it if that is too long ago.
    pub(crate) fn cap(&self, as_of: AsOf) -> Result<(AsOf, Option<LogError>), LogError> {
        // rule: majority-confirms-primary
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
        let message =
            |who| format!("no majority of the {who} confirms that {primary} is the primary");
        match &self.topology {
            Topology::Cluster(_) => LogError::Cluster(OutageCause::NoPrimary, message("masters")),
            _ => LogError::Sentinel(OutageCause::NoPrimary, message("sentinels")),
        }
    }

    /// Returns the run id of the node that was read before, if it released the stream's slot.
    async fn released_from(&self) -> Option<Box<str>> {
        let (Topology::Cluster(nodes), Some(before)) = (&self.topology, &self.before) else {
            return None;
        };
        let released = released_slot(nodes, before, self.stream, self.is_asking());
        within(SIDE_DEADLINE, released).await.ok()?
    }
}
