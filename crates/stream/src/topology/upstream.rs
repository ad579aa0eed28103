//! The server that a follower reads: found, and believed for as long as it is the right one.

use caracal_revocation_state::{Moment, Revocations};

use super::ballot::capped;
use super::quorum::Quorum;
use super::{Address, Topology};
use crate::connection::Connection;
use crate::continuity::Identity;
use crate::log::{AsOf, LogError};

/// Where to read, and who vouches for it.
#[derive(Debug)]
pub(crate) struct Upstream {
    topology: Topology,
    revocations: Revocations,
    /// None before the first connection, and where nobody is asked.
    quorum: Option<Quorum>,
    /// Where the connection leads to, if somebody named it.
    at: Option<Address>,
    /// Where it led to the last time.
    before: Option<Address>,
    /// When the read at hand was sent.
    sent: Option<Moment>,
    /// Whether it was said that nobody vouches for it.
    told: bool,
}

impl Upstream {
    /// Whoever the topology names, by the clock of this state.
    pub(crate) const fn new(topology: Topology, revocations: Revocations) -> Self {
        Self {
            topology,
            revocations,
            quorum: None,
            at: None,
            before: None,
            sent: None,
            told: false,
        }
    }

    /// Begins to ask who the primary is, if others know.
    pub(crate) fn begin(&mut self) {
        self.at = None;
        if let (None, Topology::Sentinel(sentinels)) = (&self.quorum, &self.topology) {
            self.quorum = Some(Quorum::of(sentinels, self.revocations.clone()));
        }
    }

    /// A connection, and where it leads to, if somebody named that.
    pub(crate) async fn open(&self) -> Result<(Option<Address>, Connection), LogError> {
        let Topology::Sentinel(sentinels) = &self.topology else {
            return self.topology.open().await.map(|connection| (None, connection));
        };
        // What is known already saves asking, and knows better than a minority would.
        let primary = match self.quorum.as_ref().and_then(Quorum::named) {
            Some(primary) => primary,
            None => sentinels.find().await?,
        };
        let connection = sentinels.connect(&primary).await?;
        Ok((Some(primary), connection))
    }

    /// It is the one that will be read from.
    pub(crate) async fn opened(&mut self, at: Option<Address>) {
        if let (Some(quorum), Some(primary)) = (&self.quorum, &at) {
            quorum.settle(primary).await;
            if self.before != at {
                tracing::info!(%primary, "reading from the primary that the sentinels name");
                self.before = at.clone();
            }
        }
        self.at = at;
    }

    /// A read is about to be sent.
    pub(crate) const fn prepare(&mut self, now: Moment) {
        self.sent = Some(now);
    }

    /// Takes in who answers.
    pub(crate) fn meet(&self, identity: &Identity) -> Result<(), LogError> {
        match self.at {
            // It was a primary when it was connected to.
            Some(_) if identity.is_replica => Err(LogError::Replaced),
            _ => Ok(()),
        }
    }

    /// Up to when the answer holds, given up to when the server itself would say: no longer than
    /// a majority calls it the primary.
    pub(crate) fn cap(&mut self, as_of: AsOf) -> Result<AsOf, LogError> {
        let (Some(quorum), Some(at), Some(sent)) = (&self.quorum, &self.at, self.sent) else {
            return Ok(as_of);
        };
        if quorum.named().is_some_and(|named| named != *at) {
            return Err(LogError::Replaced);
        }
        let is_unconfirmed = quorum.is_unconfirmed(at, sent);
        if is_unconfirmed != std::mem::replace(&mut self.told, is_unconfirmed) {
            if is_unconfirmed {
                tracing::error!(
                    primary = %at,
                    "no majority of the sentinels says that this is the primary: the view grows \
                     old, since another may have taken its place; look whether they run and can \
                     be reached from here"
                );
            } else {
                tracing::info!(primary = %at, "a majority of the sentinels vouches for it again");
            }
        }
        let holds = capped(as_of.moment(sent), quorum.confirmed(at));
        Ok(holds.map_or(AsOf::Unknown, AsOf::At))
    }
}
